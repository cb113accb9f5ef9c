package operator

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// autoscaled gives the API an autoscaler between 2 and 6, with pools so small that the connection budget holds nothing back.
func autoscaled(i *v1alpha1.EngLogInstance) {
	i.Spec.Database.MaxConnectionsPerPod = 2
	i.Spec.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6}}
}

func deployment(namespace, name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func scaler(namespace, name string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// scaleTo does what an autoscaler does under load.
func scaleTo(t *testing.T, d *appsv1.Deployment, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if err := cluster.Client.SubResource("scale").Update(t.Context(), d, client.WithSubResourceBody(scale)); err != nil {
		t.Fatalf("scaling %s: %v", d.Name, err)
	}
	cluster.Await(t, d, "ready pods", func() bool { return d.Status.ReadyReplicas == replicas })
}

// A follower keeps every number of replicas that a Deployment has had since it began.
type follower struct {
	mu   sync.Mutex
	seen []int32
}

func follow(t *testing.T, namespace, name string) *follower {
	t.Helper()
	f := &follower{}
	ctx, cancel := context.WithCancel(t.Context())
	watcher, err := cluster.Client.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(namespace), client.MatchingFields{"metadata.name": name})
	if err != nil {
		t.Fatalf("watching Deployment %s: %v", name, err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		for event := range watcher.ResultChan() {
			if d, ok := event.Object.(*appsv1.Deployment); ok && d.Spec.Replicas != nil {
				f.add(*d.Spec.Replicas)
			}
		}
	})
	t.Cleanup(func() { cancel(); watcher.Stop(); ended.Wait() })
	return f
}

func (f *follower) add(n int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 || f.seen[len(f.seen)-1] != n {
		f.seen = append(f.seen, n)
	}
}

func (f *follower) all() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func TestAutoscalerOwnsReplicas(t *testing.T) {
	t.Parallel()
	covers(t, "F1", "F2", "X46", "X48")
	instance := install(t, autoscaled)
	h := scaler(instance.Namespace, "demo-api-blue")
	cluster.Await(t, h, "autoscaler", func() bool { return h.Spec.MaxReplicas == 6 && *h.Spec.MinReplicas == 2 })
	if target := h.Spec.ScaleTargetRef; target.Kind != "Deployment" || target.Name != "demo-api-blue" {
		t.Errorf("the autoscaler's target is %v", target)
	}
	d := deployment(instance.Namespace, "demo-api-blue")
	seen := follow(t, instance.Namespace, d.Name)
	scaleTo(t, d, 5)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.API.PodLabels = nil; s.API.Autoscaling.MaxReplicas = 7 })
	cluster.Await(t, h, "new bound", func() bool { return h.Spec.MaxReplicas == 7 })
	if all := seen.all(); !slices.Equal(all, []int32{2, 5}) {
		t.Errorf("replicas went %v", all)
	}
	for _, m := range d.ManagedFields {
		if m.Manager == "englog-operator" && strings.Contains(m.FieldsV1.String(), "f:replicas") {
			t.Error("the operator's apply owns spec.replicas beside an autoscaler")
		}
	}
}

func TestAutoscalingOnAndOffKeepsThePods(t *testing.T) {
	t.Parallel()
	covers(t, "X46")
	instance := install(t, func(i *v1alpha1.EngLogInstance) { i.Spec.API.Replicas, i.Spec.Database.MaxConnectionsPerPod = 4, 2 })
	revision := instance.Status.Active.Revision
	seen := follow(t, instance.Namespace, "demo-api-blue")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6}}
	})
	h := scaler(instance.Namespace, "demo-api-blue")
	cluster.Await(t, h, "autoscaler", func() bool { return h.Spec.MaxReplicas == 6 })
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.API = &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 4}}
	})
	cluster.AwaitGone(t, scaler(instance.Namespace, "demo-api-blue"))
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 5, MaxReplicas: 6}}
	})
	d := deployment(instance.Namespace, "demo-api-blue")
	cluster.Await(t, d, "five pods", func() bool { return d.Status.ReadyReplicas == 5 })
	if all := seen.all(); !slices.Equal(all, []int32{4, 5}) {
		t.Errorf("replicas went %v", all)
	}
	if instance.Status.Active.Revision != revision {
		t.Error("autoscaling began a rollout")
	}
}

// TestCandidateStartsAtTheActiveSize is not parallel: it sets the operator's clock.
func TestCandidateStartsAtTheActiveSize(t *testing.T) {
	covers(t, "X80", "X81", "X48")
	instance := install(t, autoscaled)
	scaleTo(t, deployment(instance.Namespace, "demo-api-blue"), 5)
	blue, green := follow(t, instance.Namespace, "demo-api-blue"), follow(t, instance.Namespace, "demo-api-green")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	serves(t, instance, "1.1.0", v1alpha1.Green)
	h := scaler(instance.Namespace, "demo-api-green")
	cluster.Await(t, h, "the candidate's autoscaler", func() bool { return true })
	if *h.Spec.MinReplicas != 5 || h.Spec.ScaleTargetRef.Name != "demo-api-green" {
		t.Errorf("the candidate's autoscaler holds at least %d of %s", *h.Spec.MinReplicas, h.Spec.ScaleTargetRef.Name)
	}
	if all := green.all(); len(all) == 0 || all[len(all)-1] != 5 || slices.ContainsFunc(all[1:], func(n int32) bool { return n < 5 }) {
		t.Errorf("the candidate's replicas went %v", all)
	}
	if all := blue.all(); !slices.Equal(all, []int32{5}) {
		t.Errorf("the old color's replicas went %v before its retention ended", all)
	}
	awaitStep(t, instance, v1alpha1.StepStable)
	cluster.AwaitGone(t, scaler(instance.Namespace, "demo-api-blue"))
	restartOperator(t, func() time.Time { return time.Now().Add(6 * time.Minute) })
	t.Cleanup(func() { restartOperator(t, time.Now) })
	cluster.Await(t, h, "the floor let go", func() bool { return *h.Spec.MinReplicas == 2 })
}
