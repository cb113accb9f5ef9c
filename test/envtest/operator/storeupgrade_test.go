package operator

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// TestOperatorUpgradeRestartsNoStore is not parallel: it ends the operator. A Managed store that another operator has rendered, with another
// template and another script, stays as it is under this one until its user changes something about its pod.
func TestOperatorUpgradeRestartsNoStore(t *testing.T) {
	covers(t, "X88")
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	cluster.Create(t, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	awaitStep(t, instance, v1alpha1.StepStable)
	alone(t)
	stopOperator()
	stopOperator = func() {}
	stored := storeRendered(t, instance)
	restartOperator(t, time.Now)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-database"}}
	cluster.Await(t, set, "the other operator's template", func() bool {
		return set.Spec.Template.Annotations["example.com/rendered-by"] == "another" && set.Status.ObservedGeneration == set.Generation &&
			set.Status.UpdatedReplicas == 1 && set.Status.ReadyReplicas == 1
	})
	pod, generation := fetch(t, &corev1.Pod{}, instance.Namespace, "demo-database-0").UID, set.Generation
	awaitStep(t, instance, v1alpha1.StepStable)

	restartOperator(t, time.Now)
	for _, call := range about(instance, quiet(t, 4*time.Second)) {
		if call.Verb == http.MethodDelete && (call.Resource == "statefulsets" || call.Resource == "controllerrevisions") {
			t.Errorf("the operator made the call %+v", call)
		}
	}
	if now := fetch(t, &appsv1.StatefulSet{}, instance.Namespace, "demo-database"); now.Generation != generation {
		t.Errorf("the StatefulSet was changed: generation %d, then %d", generation, now.Generation)
	}
	if now := fetch(t, &corev1.Pod{}, instance.Namespace, "demo-database-0"); now.UID != pod {
		t.Error("the pod was replaced")
	}
	if script := fetch(t, &corev1.ConfigMap{}, instance.Namespace, "demo-database").Data["start.sh"]; script != "# another\n" {
		t.Errorf("the script was changed: %.40s", script)
	}

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Database.MaxConnections = 80 })
	cluster.Await(t, set, "this operator's template", func() bool {
		return set.Spec.Template.Annotations["example.com/rendered-by"] == "" && set.Status.ObservedGeneration == set.Generation
	})
	cluster.AwaitGone(t, stored)
}

// storeRendered replaces what is stored of the managed database's pod while no operator runs.
func storeRendered(t *testing.T, instance *v1alpha1.EngLogInstance) *appsv1.ControllerRevision {
	t.Helper()
	list := &appsv1.ControllerRevisionList{}
	if err := cluster.Client.List(t.Context(), list, client.InNamespace(instance.Namespace), client.MatchingLabels{"englog.io/store": "database"}); err != nil || len(list.Items) != 1 {
		t.Fatalf("%d records of the managed database, %v: want one", len(list.Items), err)
	}
	stored := &list.Items[0]
	var content map[string]any
	if err := json.Unmarshal(stored.Data.Raw, &content); err != nil {
		t.Fatal(err)
	}
	content["script"] = "# another\n"
	at(t, content, "template", "metadata")["annotations"] = map[string]any{"example.com/rendered-by": "another"}
	raw, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client.Delete(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	again := stored.DeepCopy()
	again.ObjectMeta = metav1.ObjectMeta{Namespace: stored.Namespace, Name: stored.Name, Labels: stored.Labels, OwnerReferences: stored.OwnerReferences}
	again.Data = runtime.RawExtension{Raw: raw}
	cluster.Create(t, again)
	return again
}

// TestManagedStoresAreQuietAtRest is not parallel: it counts every call of the operator. The StatefulSets' controller keeps revisions of its
// own, with the labels of the pods: they are not ours to tidy up.
func TestManagedStoresAreQuietAtRest(t *testing.T) {
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	cluster.Create(t, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	awaitStep(t, instance, v1alpha1.StepStable)
	alone(t)
	quiet(t, 2*time.Second)
	if made := about(instance, quiet(t, 5*time.Second)); len(made) > 0 {
		t.Errorf("the operator made %d calls at rest, such as %v", len(made), made[:min(len(made), 5)])
	}
	list := &appsv1.ControllerRevisionList{}
	if err := cluster.Client.List(t.Context(), list, client.InNamespace(instance.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "database"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 {
		t.Errorf("%d revisions of the database, want the operator's record and the StatefulSet's own", len(list.Items))
	}
}
