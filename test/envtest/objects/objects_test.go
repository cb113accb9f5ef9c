// Package objects holds what render describes to a real API server: every object of its golden files is accepted where the restricted Pod
// Security Standard is enforced, and applying it again changes nothing. It must never import render: the files are the contract.
package objects

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	yamlfile "sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

const golden = "../../../controllers/render/testdata"

var cluster *rig.Rig

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, rig.Options{AddToScheme: v1alpha1.AddToScheme, CRDPaths: rig.GatewayCRDs()}, &cluster))
}

// unknownHere are kinds of operators whose definitions no module of ours brings.
var unknownHere = map[string]bool{"PodMonitor": true, "PrometheusRule": true}

func TestEveryObjectIsAccepted(t *testing.T) {
	for _, name := range []string{"development", "staging", "production"} {
		t.Run(name, func(t *testing.T) {
			owner := createInstance(t, name)
			applied := 0
			for _, o := range objects(t, name) {
				if unknownHere[o.GetKind()] {
					continue
				}
				apply(t, o, owner)
				applied++
			}
			for _, o := range objects(t, name) {
				awaitPod(t, o)
			}
			if applied < 20 {
				t.Errorf("only %d objects were applied", applied)
			}
		})
	}
}

// createInstance makes the instance in a namespace that admits restricted pods only.
func createInstance(t *testing.T, name string) *v1alpha1.EngLogInstance {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	instance := &v1alpha1.EngLogInstance{}
	if err := yamlfile.UnmarshalStrict(text, instance); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: instance.Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := cluster.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	// The account that the staging instance brings itself.
	if err := cluster.Client.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "web"}}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client.Create(t.Context(), instance); err != nil {
		t.Fatalf("%s is not a valid instance: %v", name, err)
	}
	return instance
}

// awaitPod waits until the controller of a workload was allowed to make its pod.
func awaitPod(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	key := metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}
	switch o.GetKind() {
	case "Deployment":
		d := &appsv1.Deployment{ObjectMeta: key}
		cluster.Await(t, d, "a pod", func() bool { return d.Status.Replicas > 0 })
	case "StatefulSet":
		s := &appsv1.StatefulSet{ObjectMeta: key}
		cluster.Await(t, s, "a pod", func() bool { return s.Status.Replicas > 0 })
	case "Job":
		j := &batchv1.Job{ObjectMeta: key}
		cluster.Await(t, j, "a pod", func() bool { return j.Status.Active+j.Status.Succeeded+j.Status.Failed > 0 })
	}
}

func objects(t *testing.T, name string) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(golden, name, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files of %s: %v", name, err)
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
			o := &unstructured.Unstructured{}
			if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if o.Object != nil {
				all = append(all, o)
			}
		}
	}
	return all
}

// apply makes the object twice. The second time must not write: a reconcile that changes nothing is what every other one is.
func apply(t *testing.T, o *unstructured.Unstructured, owner *v1alpha1.EngLogInstance) {
	t.Helper()
	o.SetUID("") // the fence of a live Service names an incarnation that is not here
	o.SetResourceVersion("")
	if refs := o.GetOwnerReferences(); len(refs) > 0 {
		refs[0].UID = owner.UID
		o.SetOwnerReferences(refs)
	}
	first := send(t, o)
	if first == nil {
		return
	}
	second := send(t, o)
	if second != nil && first.GetGeneration() != second.GetGeneration() {
		t.Errorf("%s %s changes each time it is applied", o.GetKind(), o.GetName())
	}
}

func send(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	sent := o.DeepCopy()
	err := cluster.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(sent), client.FieldOwner("englog-operator"), client.ForceOwnership)
	if err != nil {
		t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		return nil
	}
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(o.GroupVersionKind())
	if err := cluster.Client.Get(t.Context(), types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}, stored); err != nil {
		t.Errorf("%s %s was applied and cannot be read: %v", o.GetKind(), o.GetName(), err)
		return nil
	}
	return stored
}
