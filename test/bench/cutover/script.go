package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// script takes the steps of a blue-green shell script: apply a Deployment of the new version, rollout status, ask each new
// pod's /health, patch the Service's selector, sleep 30, ask /health once more, delete the old Deployment.
type script struct {
	*bench

	api  client.Client
	live string // release that the Service selects
}

const (
	scriptName = "script"
	scriptUser = "bench-script"
)

func (s *script) name() string           { return scriptName }
func (s *script) service() string        { return "script-api" }
func (s *script) actor(user string) bool { return user == scriptUser }

func (s *script) install(ctx context.Context) (err error) {
	if s.api, err = s.as(scriptUser); err != nil {
		return err
	}
	if err := s.remove(ctx); err != nil {
		return err
	}
	first := release{name: "r0", version: cutover.VersionOld}
	if err := s.deploy(ctx, first); err != nil {
		return err
	}
	s.live = first.name
	if err := s.replace(ctx, newService(s.service(), scriptName, s.live)); err != nil {
		return err
	}
	return until(ctx, 2*time.Minute, "the script's first pods", func(ctx context.Context) (bool, error) {
		return s.podsAre(ctx, scriptName, s.live)
	})
}

func (s *script) deploy(ctx context.Context, r release) error {
	template, err := s.podTemplate(ctx, scriptName, r)
	if err != nil {
		return err
	}
	n, deadline := int32(replicas), int32(deadlineSeconds)
	return s.api.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: "script-" + r.name, Labels: map[string]string{benchLabel: scriptName}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, ProgressDeadlineSeconds: &deadline, Template: template,
			Selector: &metav1.LabelSelector{MatchLabels: selector(scriptName, r.name)},
		},
	})
}

func (s *script) bring(ctx context.Context, r release) (ending, error) {
	if err := s.deploy(ctx, r); err != nil {
		return ending{}, err
	}
	if err := s.rolloutStatus(ctx, r); err != nil {
		return ending{outcome: "exit 1 at rollout status; the bad Deployment stays"}, nil //nolint:nilerr // how the script ends is what is measured
	}
	if err := s.podsHealthy(ctx, r); err != nil {
		return ending{outcome: "exit 1 at the health check: " + err.Error()}, nil //nolint:nilerr // how the script ends is what is measured
	}
	old := s.live
	if err := s.patchService(ctx, r.name); err != nil {
		return ending{}, err
	}
	if err := pause(ctx, 30*time.Second); err != nil {
		return ending{}, err
	}
	address, err := s.clusterIP(ctx, s.service())
	if err != nil {
		return ending{}, err
	}
	if err := healthy(ctx, address); err != nil {
		return ending{outcome: "exit 1 at the final health check: " + err.Error()}, nil //nolint:nilerr // how the script ends is what is measured
	}
	if err := s.drop(ctx, old); err != nil {
		return ending{}, err
	}
	return ending{outcome: "exit 0"}, until(ctx, 2*time.Minute, "the old pods to be gone", func(ctx context.Context) (bool, error) {
		return s.podsAre(ctx, scriptName, r.name)
	})
}

func (s *script) rolloutStatus(ctx context.Context, r release) error {
	return until(ctx, deadlineSeconds*time.Second, "the rollout's status", func(ctx context.Context) (bool, error) {
		var d appsv1.Deployment
		err := s.api.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: "script-" + r.name}, &d)
		return err == nil && d.Status.ObservedGeneration >= d.Generation && d.Status.AvailableReplicas == replicas, err
	})
}

func (s *script) podsHealthy(ctx context.Context, r release) error {
	var pods corev1.PodList
	if err := s.api.List(ctx, &pods, client.InNamespace(cutover.Namespace), client.MatchingLabels(selector(scriptName, r.name))); err != nil {
		return err
	}
	for i := range pods.Items {
		if err := healthy(ctx, pods.Items[i].Status.PodIP+":8080"); err != nil {
			return err
		}
	}
	return nil
}

// healthy asks /health as the script's wget and curl do.
func healthy(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("/health answered %s", response.Status)
	}
	return nil
}

func (s *script) patchService(ctx context.Context, release string) error {
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"selector": map[string]any{releaseLabel: release}}})
	if err != nil {
		return err
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: s.service()}}
	s.live = release
	return s.api.Patch(ctx, svc, client.RawPatch(types.StrategicMergePatchType, body))
}

func (s *script) drop(ctx context.Context, release string) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: "script-" + release}}
	return gone(s.api.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationBackground)))
}

// recover does what an operator on call does: a good Deployment, the Service to it, everything else away.
func (s *script) recover(ctx context.Context) error {
	s.count++
	good := release{name: fmt.Sprintf("r%d", s.count), version: cutover.VersionOld}
	if err := s.deploy(ctx, good); err != nil {
		return err
	}
	if err := s.rolloutStatus(ctx, good); err != nil {
		return err
	}
	if err := s.patchService(ctx, good.name); err != nil {
		return err
	}
	if err := s.dropAllBut(ctx, good.name); err != nil {
		return err
	}
	return until(ctx, 2*time.Minute, "the bad pods to be gone", func(ctx context.Context) (bool, error) {
		return s.podsAre(ctx, scriptName, good.name)
	})
}

func (s *script) dropAllBut(ctx context.Context, release string) error {
	var all appsv1.DeploymentList
	if err := s.api.List(ctx, &all, client.InNamespace(cutover.Namespace), client.MatchingLabels(selector(scriptName, ""))); err != nil {
		return err
	}
	for i := range all.Items {
		if d := &all.Items[i]; d.Name != "script-"+release {
			if err := gone(s.api.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationBackground))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *script) remove(ctx context.Context) error {
	if s.api == nil {
		return nil // never installed
	}
	if err := s.dropAllBut(ctx, ""); err != nil {
		return err
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: s.service()}}
	return gone(s.api.Delete(ctx, svc))
}
