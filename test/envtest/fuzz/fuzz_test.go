package fuzz

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
	"github.com/garnizeh/englog-operator/test/specs"
)

const (
	// batch is how many instances live at a time.
	batch = 12
	// calm is how long a batch is watched once each instance has an answer.
	calm = 6 * time.Second
	// busy is how often an instance may be reconciled in a second while it is watched: checks of one second have news, and so has a rollout;
	// an operator that spins has hundreds.
	busy = 12
)

// No spec that a real API server accepts makes the operator panic or spin, or stops it from serving other instances: each gets an answer in its
// conditions, also after a change to another such spec. FUZZTIME goes on for so long, SEED says where it begins.
func TestAcceptedSpecsOnACluster(t *testing.T) {
	starts, err := filepath.Glob("../../../config/samples/[^k]*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := specs.Load("../../../config/crd/bases/englog.io_engloginstances.yaml", starts...)
	if err != nil {
		t.Fatal(err)
	}
	until, seed := settings(t)
	t.Cleanup(func() {
		for _, line := range complaints.lines() {
			t.Log(line)
		}
	})
	made := 0
	for first := seed; made < batch || time.Now().Before(until); first += batch {
		made += try(t, schema, first)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d specs from seed %d", made, seed)
}

func settings(t *testing.T) (until time.Time, seed uint64) {
	t.Helper()
	seed = 1
	if text := os.Getenv("FUZZTIME"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("FUZZTIME: %v", err)
		}
		until = time.Now().Add(d)
	}
	if text := os.Getenv("SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		seed = n
	}
	return until, seed
}

// try lets a batch of instances live, changes each, and looks at what the operator makes of both.
func try(t *testing.T, schema *specs.Schema, first uint64) (made int) {
	t.Helper()
	before := counters(t)
	var all []*v1alpha1.EngLogInstance
	for i := range uint64(batch) {
		if instance := create(t, schema, first+i); instance != nil {
			all = append(all, instance)
		}
	}
	watched(t, first, all, before)
	for i, instance := range all {
		change(t, schema, first+uint64(i)+1<<32, instance)
	}
	watched(t, first, all, before)
	for _, instance := range all {
		if err := cluster.Client.Delete(t.Context(), instance); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	}
	return len(all)
}

// create makes an instance of a seed with the Secrets that it names; nil when the API server wants to have none of it.
func create(t *testing.T, schema *specs.Schema, seed uint64) *v1alpha1.EngLogInstance {
	t.Helper()
	object := &unstructured.Unstructured{Object: schema.Make(seed)}
	object.SetNamespace(cluster.Namespace(t))
	cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: object.GetNamespace(), Labels: map[string]string{"app.kubernetes.io/component": "migrate"},
		Message: `{"phase":"expand","from":0,"to":2,"current":2,"oldestCompatible":1}`,
	})
	if err := cluster.Client.Create(t.Context(), object); err != nil {
		t.Errorf("SEED=%d: what the linked validation accepts is refused here: %v", seed, err)
		return nil
	}
	instance := &v1alpha1.EngLogInstance{}
	if err := specs.Into(object.Object, instance); err != nil {
		t.Errorf("SEED=%d: %v", seed, err)
		return nil
	}
	secrets(t, instance)
	return instance
}

// secrets fills every Secret that a spec names.
func secrets(t *testing.T, instance *v1alpha1.EngLogInstance) {
	t.Helper()
	all := map[string]*corev1.Secret{}
	for _, r := range revision.References(instance.Name, instance.Resolve()) {
		if all[r.Secret] == nil {
			all[r.Secret] = &corev1.Secret{StringData: map[string]string{}}
			all[r.Secret].Namespace, all[r.Secret].Name = instance.Namespace, r.Secret
		}
		all[r.Secret].StringData[r.Key] = "0123456789abcdef0123456789abcdef"
	}
	for _, secret := range all {
		err := cluster.Client.Create(t.Context(), secret) // a name that Kubernetes refuses is a Secret that never exists
		if err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsInvalid(err) {
			t.Error(err)
		}
	}
}

// change makes the instance another accepted one, where a change to that is allowed.
func change(t *testing.T, schema *specs.Schema, seed uint64, instance *v1alpha1.EngLogInstance) {
	t.Helper()
	next := &unstructured.Unstructured{Object: schema.Make(seed)}
	next.SetNamespace(instance.Namespace)
	next.SetName(instance.Name)
	next.SetResourceVersion("")
	err := cluster.Client.Get(t.Context(), client.ObjectKeyFromObject(instance), instance)
	if err != nil {
		t.Fatal(err)
	}
	next.SetResourceVersion(instance.ResourceVersion)
	switch err := cluster.Client.Update(t.Context(), next); {
	case err == nil:
		*instance = v1alpha1.EngLogInstance{} // decoding adds to what is there
		if err := specs.Into(next.Object, instance); err != nil {
			t.Errorf("SEED=%d: %v", seed, err)
		}
		secrets(t, instance)
	case apierrors.IsInvalid(err), apierrors.IsConflict(err): // External to Managed, or the status was written meanwhile
	default:
		t.Errorf("SEED=%d: %v", seed, err)
	}
}

// watched waits until each instance has an answer to its spec, and then fails the test when the operator has panicked or does not calm down.
func watched(t *testing.T, first uint64, all []*v1alpha1.EngLogInstance, before map[string]float64) {
	t.Helper()
	for _, instance := range all {
		cluster.Await(t, instance, fmt.Sprintf("answer to the spec, SEED from %d", first), func() bool {
			return instance.Status.ObservedGeneration == instance.Generation && len(instance.Status.Conditions) > 0
		})
	}
	begun := counters(t)
	<-time.After(calm)
	now := counters(t)
	if panics := now[panicked] - before[panicked]; panics > 0 {
		t.Errorf("SEED from %d: %v panics; the operator's log has the stack", first, panics)
	}
	if rate := (now[reconciled] - begun[reconciled]) / calm.Seconds() / float64(max(len(all), 1)); rate > busy {
		t.Errorf("SEED from %d: %.0f reconciles a second for each instance", first, rate)
	}
	if !t.Failed() {
		return
	}
	for _, instance := range all {
		encoded, err := yaml.Marshal(instance)
		t.Logf("%s%v", encoded, err)
	}
}

const (
	panicked   = "controller_runtime_reconcile_panics_total"
	reconciled = "controller_runtime_reconcile_total"
)

// counters sums up controller-runtime's own.
func counters(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	return all
}
