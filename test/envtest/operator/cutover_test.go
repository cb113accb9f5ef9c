package operator

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

func install(t *testing.T, change ...func(*v1alpha1.EngLogInstance)) *v1alpha1.EngLogInstance {
	t.Helper()
	instance := newInstance(t, change...)
	migrated(t, instance.Namespace)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	return instance
}

func liveSelector(t *testing.T, instance *v1alpha1.EngLogInstance, component string) map[string]string {
	t.Helper()
	service := &corev1.Service{}
	service.Namespace, service.Name = instance.Namespace, instance.Name+"-"+component
	cluster.Await(t, service, "live Service", func() bool { return true })
	return service.Spec.Selector
}

func TestInstallationThenCutover(t *testing.T) {
	t.Parallel()
	instance := install(t)
	if got := instance.Status.Active; got == nil || got.Color != v1alpha1.Blue || got.Version != "1.0.0" {
		t.Fatalf("active is %v", got)
	}
	first, begun := instance.Status.Active.Revision, time.Now()
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	if a := instance.Status.Active; a.Color != v1alpha1.Green || a.Version != "1.1.0" || instance.Status.Previous.Revision != first {
		t.Fatalf("active %v, previous %v", a, instance.Status.Previous)
	}
	for _, component := range []string{"api", "frontend"} {
		if s := liveSelector(t, instance, component); s["englog.io/color"] != "green" || s["englog.io/revision"] != instance.Status.Active.Revision {
			t.Errorf("the live %s Service selects %v", component, s)
		}
	}
	awaitStep(t, instance, v1alpha1.StepStable)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	if h := instance.Status.History; len(h) != 2 || h[0].Outcome != v1alpha1.OutcomePromoted {
		t.Errorf("history is %v", h)
	}
	for _, job := range []string{"migrate", "workercheck"} { // the last writes are about those of the revision before
		cluster.AwaitGone(t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-" + job + "-" + first + "-1"}})
	}
	writes := slices.DeleteFunc(about(instance, calls.Since(begun)), func(c rig.Call) bool {
		return c.Namespace == "" || c.Resource == "events" || c.Resource == "leases" || c.Verb == "GET" || c.Verb == "LIST" || c.Verb == "WATCH"
	})
	t.Logf("%d writes in a cutover of three components", len(writes))
	if len(writes) > 45 {
		t.Errorf("more than 45 writes: %v", writes)
	}
	sameWrites(t, "testdata/cutover.txt", writes, strings.NewReplacer(first, "FROM", instance.Status.Active.Revision, "TO"))
}

var update = flag.Bool("update", false, "write the lists of writes anew")

// sameWrites compares the writes of children that were made, in their order, with a list. Those of the status are left out: how many it takes
// depends on how many of its pods are ready when it is written.
func sameWrites(t *testing.T, file string, writes []rig.Call, names *strings.Replacer) {
	t.Helper()
	var made strings.Builder
	for _, w := range writes {
		if w.Resource != "engloginstances/status" && !w.Refused {
			made.WriteString(names.Replace(w.Verb+" "+w.Resource+" "+w.Name) + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(made.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if made.String() != string(listed) {
		t.Errorf("%s lists\n%s\nwhat was written is\n%s", file, listed, made.String())
	}
}

func TestNeverReadyTakesNoTraffic(t *testing.T) {
	t.Parallel()
	instance := install(t)
	neverReady(t, instance.Namespace, ":2.0.0")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "2.0.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "")
	if !strings.Contains(message, "ImagePullBackOff") {
		t.Errorf("the condition does not name the cause: %s", message)
	}
	if s := liveSelector(t, instance, "api"); s["englog.io/color"] != "blue" {
		t.Errorf("the live Service selects %v", s)
	}
	if status, _, _ := condition(instance, v1alpha1.ConditionAvailable); status != "True" {
		t.Error("the instance is not Available although the old version serves")
	}
}

func TestRevertingTheSpecSwitchesBack(t *testing.T) {
	t.Parallel()
	instance := install(t)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	awaitStep(t, instance, v1alpha1.StepRetaining)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.0.0" })
	awaitStep(t, instance, v1alpha1.StepStable)
	if a := instance.Status.Active; a.Version != "1.0.0" || a.Color != v1alpha1.Blue {
		t.Errorf("active is %v", a)
	}
}

func TestSilenceAtRest(t *testing.T) {
	instance := install(t)
	awaitStep(t, instance, v1alpha1.StepStable)
	alone(t)
	quiet(t, 3*time.Second) // the last events of the installation
	if made := quiet(t, 20*time.Second); len(made) > 0 {
		t.Errorf("%d calls at rest: %v", len(made), made)
	}
}
