package operator

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// TestOperatorUpgradeRestartsNothing is not parallel: it ends the operator. An instance that another operator has rendered, with another pod
// template and another default, stays as it is under this one until its user changes something.
func TestOperatorUpgradeRestartsNothing(t *testing.T) {
	covers(t, "X88")
	instance := install(t)
	awaitStep(t, instance, v1alpha1.StepStable)
	stopOperator()
	stopOperator = func() {}
	asIfRenderedByAnother(t, instance)
	restartOperator(t, time.Now)
	d := deployment(instance.Namespace, "demo-api-blue")
	cluster.Await(t, d, "the other operator's template", func() bool {
		return d.Spec.Template.Annotations["example.com/rendered-by"] == "another" && d.Status.ObservedGeneration == d.Generation &&
			d.Status.UpdatedReplicas == 2 && d.Status.Replicas == 2 && d.Status.ReadyReplicas == 2
	})
	config := fetchConfig(t, instance)
	pods, generation := podsOf(t, instance, "blue"), d.Generation

	restartOperator(t, time.Now)
	quiet(t, 4*time.Second)
	if now := podsOf(t, instance, "blue"); !slices.Equal(now, pods) {
		t.Errorf("pods were replaced: %v, then %v", pods, now)
	}
	if now := fetch(t, &appsv1.Deployment{}, d.Namespace, d.Name); now.Generation != generation {
		t.Errorf("the Deployment was changed: generation %d, then %d", generation, now.Generation)
	}
	if now := fetchConfig(t, instance); now.UID != config.UID || now.Data["READ_TIMEOUT"] != "17s" {
		t.Errorf("the settings were changed: READ_TIMEOUT is %s", now.Data["READ_TIMEOUT"])
	}

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	green := fetch(t, &appsv1.Deployment{}, instance.Namespace, "demo-api-green")
	if green.Spec.Template.Annotations["example.com/rendered-by"] != "" || fetchConfig(t, instance).Data["READ_TIMEOUT"] != "30s" {
		t.Error("the next revision is not this operator's")
	}
}

// TestDeletionWithoutAnOperator is not parallel: it ends the operator. Nothing has to be done by anybody for an instance to go.
func TestDeletionWithoutAnOperator(t *testing.T) {
	covers(t, "X71")
	instance := install(t)
	stopOperator()
	stopOperator = func() {}
	t.Cleanup(func() { restartOperator(t, time.Now) })
	if len(instance.Finalizers) > 0 {
		t.Errorf("the instance has finalizers: %v", instance.Finalizers)
	}
	remove(t, instance)
	for _, list := range childLists() {
		cluster.AwaitList(t, list, "end of the children", func() bool { return meta.LenList(list) == 0 },
			client.InNamespace(instance.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": instance.Name})
	}
}

func fetchConfig(t *testing.T, instance *v1alpha1.EngLogInstance) *corev1.ConfigMap {
	t.Helper()
	return fetch(t, &corev1.ConfigMap{}, instance.Namespace, "demo-config-"+instance.Status.Active.Revision)
}

// asIfRenderedByAnother replaces what is stored of the active revision while no operator runs.
func asIfRenderedByAnother(t *testing.T, instance *v1alpha1.EngLogInstance) {
	t.Helper()
	stored := fetch(t, &appsv1.ControllerRevision{}, instance.Namespace, "demo-"+instance.Status.Active.Revision)
	var content map[string]any
	if err := json.Unmarshal(stored.Data.Raw, &content); err != nil {
		t.Fatal(err)
	}
	at(t, content, "templates", "api", "metadata")["annotations"] = map[string]any{"example.com/rendered-by": "another"}
	at(t, content, "config")["READ_TIMEOUT"] = "17s"
	raw, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client.Delete(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client.Delete(t.Context(), fetchConfig(t, instance)); err != nil {
		t.Fatal(err)
	}
	again := stored.DeepCopy()
	again.ObjectMeta = metav1.ObjectMeta{Namespace: stored.Namespace, Name: stored.Name, Labels: stored.Labels, OwnerReferences: stored.OwnerReferences}
	again.Data = runtime.RawExtension{Raw: raw}
	cluster.Create(t, again)
}

// at walks into nested objects.
func at(t *testing.T, o map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		below, ok := o[name].(map[string]any)
		if !ok {
			t.Fatalf("%s of %v is no object", name, path)
		}
		o = below
	}
	return o
}
