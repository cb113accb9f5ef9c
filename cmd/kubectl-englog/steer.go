package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// fieldOwner is the field manager of every change, so that managedFields shows who turned what.
const fieldOwner = client.FieldOwner("kubectl-englog")

// set changes one field of the spec, given by its path, and leaves all others alone.
func (s *session) set(ctx context.Context, instance *v1alpha1.EngLogInstance, value string, path ...string) error {
	var tree any = value
	for i := len(path) - 1; i >= 0; i-- {
		tree = map[string]any{path[i]: tree}
	}
	patch, err := json.Marshal(map[string]any{"spec": tree})
	if err != nil {
		return fmt.Errorf("making the patch: %w", err)
	}
	if err := s.client.Patch(ctx, instance, client.RawPatch(types.MergePatchType, patch), fieldOwner); err != nil {
		return fmt.Errorf("changing EngLogInstance %s: %w", instance.Name, err)
	}
	return nil
}

// promote approves the candidate by its revision, so that a newer one that comes meanwhile is not let through by accident.
func (s *session) promote(ctx context.Context) error {
	instance, err := s.get(ctx)
	if err != nil {
		return err
	}
	revision, err := promotable(instance)
	if err != nil {
		return err
	}
	if err := s.set(ctx, instance, revision, "rollout", "promotion", "approvedRevision"); err != nil {
		return err
	}
	if step := stepOf(instance); step != v1alpha1.StepAwaitingPromotion {
		return s.say("revision %s is approved; it takes traffic once it is verified (now: %s)", revision, step)
	}
	return s.say("revision %s is approved; it takes traffic now", revision)
}

// promotable is the revision that waits for approval.
func promotable(i *v1alpha1.EngLogInstance) (string, error) {
	c := i.Status.Candidate
	switch step := stepOf(i); {
	case c == nil, step == v1alpha1.StepAborting:
		return "", fmt.Errorf("there is nothing to promote: no candidate is under way (step %s)", step)
	case step == v1alpha1.StepSwitching:
		return "", fmt.Errorf("revision %s is being promoted already", c.Revision)
	}
	promotion := promotionOf(i)
	switch {
	case promotion.Mode != v1alpha1.PromotionManual:
		return "", fmt.Errorf("revision %s needs no approval: spec.rollout.promotion.mode is not Manual", c.Revision)
	case promotion.ApprovedRevision == c.Revision:
		return "", fmt.Errorf("revision %s is approved already (step %s)", c.Revision, stepOf(i))
	}
	return c.Revision, nil
}

func promotionOf(i *v1alpha1.EngLogInstance) v1alpha1.PromotionSpec {
	if r := i.Spec.Rollout; r != nil && r.Promotion != nil {
		return *r.Promotion
	}
	return v1alpha1.PromotionSpec{}
}

// retry changes the retry token to one that has not been used.
func (s *session) retry(ctx context.Context) error {
	instance, err := s.get(ctx)
	if err != nil {
		return err
	}
	failed := instance.Status.LastFailure
	switch {
	case failed == nil:
		return fmt.Errorf("there is nothing to retry: the last rollout of %s did not fail", instance.Name)
	case stepOf(instance) != v1alpha1.StepStable:
		return fmt.Errorf("a rollout is under way (step %s): wait until it has ended", stepOf(instance))
	}
	token := "retry-" + s.now().UTC().Format("20060102T150405Z")
	if err := s.set(ctx, instance, token, "rollout", "retryToken"); err != nil {
		return err
	}
	return s.say("revision %s, which failed in %s (%s), is tried again", failed.Revision, failed.Step, failed.Reason)
}

// turn sets a field that has a default to a value, unless it has it.
func (s *session) turn(ctx context.Context, field, to, otherwise, done string, now func(*v1alpha1.EngLogInstance) string) error {
	instance, err := s.get(ctx)
	if err != nil {
		return err
	}
	current := now(instance)
	if current == "" {
		current = otherwise
	}
	if current == to {
		return fmt.Errorf("spec.%s of %s is %s already", field, instance.Name, to)
	}
	if err := s.set(ctx, instance, to, field); err != nil {
		return err
	}
	return s.say("%s", done)
}

func reconciliation(i *v1alpha1.EngLogInstance) string { return string(i.Spec.Reconciliation) }

func activity(i *v1alpha1.EngLogInstance) string { return string(i.Spec.Activity) }

func (s *session) pause(ctx context.Context) error {
	return s.turn(ctx, "reconciliation", string(v1alpha1.ReconciliationPaused), string(v1alpha1.ReconciliationEnabled),
		"paused: the operator changes nothing; what runs goes on running", reconciliation)
}

func (s *session) resume(ctx context.Context) error {
	return s.turn(ctx, "reconciliation", string(v1alpha1.ReconciliationEnabled), string(v1alpha1.ReconciliationEnabled),
		"resumed: the operator goes on", reconciliation)
}

func (s *session) hibernate(ctx context.Context) error {
	return s.turn(ctx, "activity", string(v1alpha1.ActivityHibernated), string(v1alpha1.ActivityRunning),
		"hibernating: all pods end, data and objects stay", activity)
}

func (s *session) wake(ctx context.Context) error {
	return s.turn(ctx, "activity", string(v1alpha1.ActivityRunning), string(v1alpha1.ActivityRunning),
		"waking up: the pods start", activity)
}
