package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// The labels of pods: part of the operator's contract with users.
const (
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"
	colorLabel     = "englog.io/color"
)

func (s *session) status(ctx context.Context) error {
	instance, err := s.get(ctx)
	if err != nil {
		return err
	}
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(s.key.Namespace), client.MatchingLabels{instanceLabel: s.key.Name}); err != nil {
		return fmt.Errorf("listing the pods of %s: %w", s.key.Name, err)
	}
	return s.say("%s", describe(instance, pods.Items, s.now()))
}

// describe is the whole status as text.
func describe(i *v1alpha1.EngLogInstance, pods []corev1.Pod, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s  %s\n", i.Namespace, i.Name, i.Status.URL)
	for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionAvailable, v1alpha1.ConditionStalled} {
		if c := meta.FindStatusCondition(i.Status.Conditions, condition); c != nil {
			fmt.Fprintf(&b, "%-10s %-6s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	describeRollout(&b, i, now)
	describeColors(&b, i, pods, now)
	describeChecks(&b, i)
	if len(i.Status.History) > 0 {
		fmt.Fprintf(&b, "\nHistory\n%s", past(i))
	}
	return strings.TrimRight(b.String(), "\n")
}

func describeRollout(b *strings.Builder, i *v1alpha1.EngLogInstance, now time.Time) {
	r := i.Status.Rollout
	if r == nil {
		return
	}
	fmt.Fprintf(b, "\nRollout    %s, %s\n", r.Step, since(r.StepEnteredAt, now))
	if r.Message != "" {
		fmt.Fprintf(b, "           %s\n", r.Message)
	}
	if r.Deadline != nil {
		fmt.Fprintf(b, "           fails in %s if nothing changes\n", duration.HumanDuration(r.Deadline.Sub(now)))
	}
	if steps := path(r, now); steps != "" {
		fmt.Fprintf(b, "           %s\n", steps)
	}
}

// path is the way of a rollout with the time that each step took.
func path(r *v1alpha1.RolloutStatus, now time.Time) string {
	parts := make([]string, len(r.Steps))
	for n, record := range r.Steps {
		end := now
		if n+1 < len(r.Steps) {
			end = r.Steps[n+1].At.Time
		}
		parts[n] = fmt.Sprintf("%s %s", record.Step, duration.HumanDuration(end.Sub(record.At.Time)))
	}
	return strings.Join(parts, " → ")
}

// role is a revision and what it is there for.
type role struct {
	name     string
	revision *v1alpha1.RevisionStatus
}

func describeColors(b *strings.Builder, i *v1alpha1.EngLogInstance, pods []corev1.Pod, now time.Time) {
	for _, r := range []role{{"active", i.Status.Active}, {"candidate", i.Status.Candidate}, {"previous", i.Status.Previous}} {
		if r.revision == nil {
			continue
		}
		fmt.Fprintf(b, "\n%-9s  %s, version %s, revision %s, %s", r.name, r.revision.Color, r.revision.Version, r.revision.Revision, since(r.revision.Since, now))
		if until := r.revision.RetainedUntil; until != nil {
			fmt.Fprintf(b, ", warm for another %s", duration.HumanDuration(until.Sub(now)))
		}
		b.WriteString("\n")
		for _, c := range i.Status.Components {
			if c.Color == r.revision.Color {
				describeComponent(b, c, pods)
			}
		}
	}
}

func describeComponent(b *strings.Builder, c v1alpha1.ComponentStatus, pods []corev1.Pod) {
	fmt.Fprintf(b, "├─ %s %d/%d ready\n", c.Name, c.Ready, c.Desired)
	mine := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		return p.Labels[componentLabel] != string(c.Name) || !strings.EqualFold(p.Labels[colorLabel], string(c.Color))
	})
	slices.SortFunc(mine, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range mine {
		fmt.Fprintf(b, "│  └─ %s  %s\n", p.Name, condition(p))
	}
}

// condition is a pod in a word or two, as a person would ask for it.
func condition(p corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "terminating"
	}
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		if s.State.Waiting != nil {
			return s.State.Waiting.Reason
		}
	}
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			return "ready"
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return "unschedulable: " + c.Message
		}
	}
	return strings.ToLower(string(p.Status.Phase)) + ", not ready"
}

func describeChecks(b *strings.Builder, i *v1alpha1.EngLogInstance) {
	r := i.Status.Rollout
	if r == nil || len(r.Checks) == 0 {
		return
	}
	b.WriteString("\nChecks\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Name, c.Result, c.Message)
	}
	_ = w.Flush() // a strings.Builder never fails
}

func (s *session) history(ctx context.Context) error {
	instance, err := s.get(ctx)
	if err != nil {
		return err
	}
	if len(instance.Status.History) == 0 {
		return s.say("no rollout of %s has ended yet", instance.Name)
	}
	return s.say("%s", strings.TrimRight(past(instance), "\n"))
}

// past lists finished rollouts, newest first.
func past(i *v1alpha1.EngLogInstance) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  REVISION\tVERSION\tOUTCOME\tENDED\tTOOK\tMESSAGE")
	for _, h := range i.Status.History {
		ended, took := "", ""
		if h.FinishedAt != nil {
			ended = h.FinishedAt.UTC().Format(time.DateTime)
			if h.StartedAt != nil {
				took = duration.HumanDuration(h.FinishedAt.Sub(h.StartedAt.Time))
			}
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", h.Revision, h.Version, h.Outcome, ended, took, h.Message)
	}
	_ = w.Flush() // a strings.Builder never fails
	return b.String()
}

func since(t *metav1.Time, now time.Time) string {
	if t == nil {
		return "for an unknown time"
	}
	return "for " + duration.HumanDuration(max(now.Sub(t.Time), 0))
}

func stepOf(i *v1alpha1.EngLogInstance) v1alpha1.Step {
	if i.Status.Rollout == nil || i.Status.Rollout.Step == "" {
		return v1alpha1.StepStable
	}
	return i.Status.Rollout.Step
}
