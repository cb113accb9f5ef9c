package apply

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func deployment(generation int64, replicas int32, image string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "demo-api-blue", UID: "u", Generation: generation, Labels: map[string]string{"a": "b"}}}
	d.Spec.Replicas = &replicas
	d.Spec.Template.Labels = map[string]string{"image": image}
	return d
}

func TestMemoryTellsDriftFromScaling(t *testing.T) {
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "demo"}}
	id, intent := identity{Kind: "Deployment", Name: "demo-api-blue"}, []byte(`{"kind":"Deployment"}`)
	relabelled := deployment(1, 2, "one")
	relabelled.Labels = nil
	tests := map[string]struct {
		intent []byte
		now    *appsv1.Deployment
		want   Outcome
	}{
		"the same":                          {intent, deployment(1, 2, "one"), Unchanged},
		"scaled by an autoscaler":           {intent, deployment(2, 7, "one"), Unchanged},
		"its template changed by a person":  {intent, deployment(2, 2, "other"), Repaired},
		"its label removed by a person":     {intent, relabelled, Repaired},
		"the operator wants something else": {[]byte(`{"kind":"Deployment","x":1}`), deployment(1, 2, "one"), Changed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var m memory
			m.keep(instance, id, intent, stateOf(deployment(1, 2, "one"), "Deployment"))
			if got := m.compare(instance, id, test.intent, stateOf(test.now, "Deployment")); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	var m memory
	m.keep(instance, id, intent, stateOf(deployment(1, 2, "one"), "Deployment"))
	if got := m.compare(instance, id, intent, state{}); got != Repaired {
		t.Errorf("one that is gone is %s", got)
	}
}

func TestWritesAreFenced(t *testing.T) {
	s := corev1ac.Service("demo-api", "n")
	fence(s, world.Identity{UID: "u", ResourceVersion: "5"})
	if s.UID == nil || *s.UID != "u" || s.ResourceVersion == nil || *s.ResourceVersion != "5" {
		t.Errorf("a switch carries no precondition: %+v", s.ObjectMetaApplyConfiguration)
	}
	var body struct {
		Metadata struct{ UID, ResourceVersion string }
	}
	patch, err := scalePatch(plan.Scale{Replicas: 0, Identity: world.Identity{UID: "u", ResourceVersion: "5"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(patch, &body); err != nil || body.Metadata.UID != "u" || body.Metadata.ResourceVersion != "5" {
		t.Errorf("a scale to zero carries no precondition: %s", patch)
	}
	if patch, _ = scalePatch(plan.Scale{Replicas: 3}); string(patch) != `{"spec":{"replicas":3}}` {
		t.Errorf("a scale of what was made in the same round is %s", patch)
	}
}
