package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// argo is Argo Rollouts' blue-green as its documentation advises: a preview Service, an analysis before the promotion on
// it and one after on the active Service, a progress deadline that aborts, and the default scaleDownDelay of 30 s.
type argo struct{ *bench }

const (
	argoName    = "argo_rollouts"
	argoUser    = "bench-argo-rollouts"
	argoGroup   = "argoproj.io/v1alpha1"
	argoRollout = "argo-api"
	preview     = "argo-api-preview"
)

func (a *argo) name() string           { return argoName }
func (a *argo) service() string        { return argoRollout }
func (a *argo) actor(user string) bool { return user == argoUser }

func (a *argo) install(ctx context.Context) error {
	if err := a.remove(ctx); err != nil {
		return err
	}
	for _, name := range []string{a.service(), preview} {
		if err := a.replace(ctx, newService(name, "argo", "")); err != nil {
			return err
		}
	}
	for name, service := range map[string]string{"argo-before": preview, "argo-after": a.service()} {
		if err := a.analysis(ctx, name, service); err != nil {
			return err
		}
	}
	first := release{name: "r0", version: cutover.VersionOld}
	if err := a.apply(ctx, first); err != nil {
		return err
	}
	return a.settle(ctx, first, 3*time.Minute)
}

// analysis asks a Service three times, one failure being enough. It waits first: before the promotion for kube-proxy, which may follow the preview
// Service a second later and would fail a good release; after it longer, for a probe sent at once would reach the old pods and measure them.
func (a *argo) analysis(ctx context.Context, name, service string) error {
	address, err := a.clusterIP(ctx, service)
	if err != nil {
		return err
	}
	metric := map[string]any{
		"name": "web", "initialDelay": "2s", "count": 3, "interval": "1s", "failureLimit": 0, "consecutiveErrorLimit": 0, "successCondition": "true",
		"provider": map[string]any{"web": map[string]any{"url": "http://" + address + probePath, "timeoutSeconds": 1}},
	}
	if name == "argo-after" {
		metric["initialDelay"], metric["interval"] = "5s", "2s"
	}
	return a.send(ctx, object("AnalysisTemplate", name, map[string]any{"metrics": []any{metric}}))
}

func object(kind, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": argoGroup, "kind": kind, "spec": spec,
		"metadata": map[string]any{"namespace": cutover.Namespace, "name": name, "labels": map[string]any{benchLabel: "argo"}},
	}}
}

// send applies an object as its user does, with kubectl apply --server-side.
func (a *argo) send(ctx context.Context, o *unstructured.Unstructured) error {
	body, err := json.Marshal(o.Object)
	if err != nil {
		return err
	}
	o.Object = map[string]any{} // what comes back is plain JSON, as the client wants it
	if err := json.Unmarshal(body, &o.Object); err != nil {
		return err
	}
	err = a.Patch(ctx, o, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("bench"), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

func (a *argo) apply(ctx context.Context, r release) error {
	template, err := a.podTemplate(ctx, "argo", r)
	if err != nil {
		return err
	}
	body, err := json.Marshal(template)
	if err != nil {
		return err
	}
	var pod map[string]any
	if err := json.Unmarshal(body, &pod); err != nil {
		return err
	}
	return a.send(ctx, object("Rollout", argoRollout, map[string]any{
		"replicas": replicas, "selector": map[string]any{"matchLabels": selector("argo", "")}, "template": pod,
		"progressDeadlineSeconds": deadlineSeconds, "progressDeadlineAbort": true, "revisionHistoryLimit": 2,
		"strategy": map[string]any{"blueGreen": blueGreen(r.fault)},
	}))
}

func blueGreen(f fault) map[string]any {
	strategy := map[string]any{"activeService": argoRollout, "previewService": preview, "postPromotionAnalysis": templates("argo-after")}
	if f != foundLate {
		strategy["prePromotionAnalysis"] = templates("argo-before")
	}
	return strategy
}

func templates(name string) map[string]any {
	return map[string]any{"templates": []any{map[string]any{"templateName": name}}}
}

// status is what is read of a Rollout.
type status struct {
	phase, message, observed, generation string
}

func (a *argo) status(ctx context.Context) (status, error) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(argoGroup)
	o.SetKind("Rollout")
	if err := a.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: argoRollout}, o); err != nil {
		return status{}, err
	}
	s := status{generation: fmt.Sprint(o.GetGeneration())}
	s.phase, _, _ = unstructured.NestedString(o.Object, "status", "phase")
	s.message, _, _ = unstructured.NestedString(o.Object, "status", "message")
	s.observed, _, _ = unstructured.NestedString(o.Object, "status", "observedGeneration")
	return s, nil
}

func (a *argo) bring(ctx context.Context, r release) (ending, error) {
	if err := a.apply(ctx, r); err != nil {
		return ending{}, err
	}
	said, err := a.judged(ctx)
	if err != nil || r.fault != none {
		return ending{outcome: said}, err
	}
	if !strings.HasPrefix(said, "Healthy") {
		return ending{}, fmt.Errorf("a good release was refused: %s", said)
	}
	return ending{outcome: "Healthy"}, a.settle(ctx, r, 3*time.Minute)
}

// settle waits until the Rollout is Healthy and no pod of another release is left.
func (a *argo) settle(ctx context.Context, r release, within time.Duration) error {
	return until(ctx, within, "the Rollout to be Healthy and the old pods gone", func(ctx context.Context) (bool, error) {
		s, err := a.status(ctx)
		if err != nil || s.phase != "Healthy" || s.observed != s.generation {
			return false, fmt.Errorf("%s %s (%w)", s.phase, s.message, err)
		}
		return a.podsAre(ctx, "argo", r.name)
	})
}

// judged waits until Argo has refused a bad release, or has declared it Healthy.
func (a *argo) judged(ctx context.Context) (string, error) {
	var s status
	err := until(ctx, 2*time.Minute, "the Rollout to be judged", func(ctx context.Context) (_ bool, err error) {
		s, err = a.status(ctx)
		return err == nil && s.observed == s.generation && (s.phase == "Degraded" || s.phase == "Healthy"), err
	})
	return fmt.Sprintf("%s: %.60s", s.phase, s.message), err
}

func (a *argo) recover(ctx context.Context) error {
	a.count++
	good := release{name: fmt.Sprintf("r%d", a.count), version: cutover.VersionOld}
	if err := a.apply(ctx, good); err != nil {
		return err
	}
	return a.settle(ctx, good, 4*time.Minute)
}

func (a *argo) remove(ctx context.Context) error {
	objects := []client.Object{
		object("Rollout", argoRollout, nil), object("AnalysisTemplate", "argo-before", nil), object("AnalysisTemplate", "argo-after", nil),
	}
	for _, name := range []string{a.service(), preview} {
		objects = append(objects, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: name}})
	}
	for _, o := range objects {
		if err := gone(a.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground))); err != nil {
			return fmt.Errorf("removing %s: %w", o.GetName(), err)
		}
	}
	return until(ctx, 90*time.Second, "the Rollout's pods to be gone", func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := a.List(ctx, &pods, client.InNamespace(cutover.Namespace), client.MatchingLabels{benchLabel: "argo"})
		return err == nil && len(pods.Items) == 0, fmt.Errorf("%d pods (%w)", len(pods.Items), err)
	})
}
