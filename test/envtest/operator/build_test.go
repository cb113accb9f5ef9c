package operator

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// otherBuild is how the next operator differs: a pod template and a default, each by file, as it is and as it is to be.
var otherBuild = map[string][2]string{
	"controllers/render/pods.go":       {`probe("/livez", 10, 5, 3)`, `probe("/livez", 11, 5, 3)`},
	"api/v1alpha1/defaults_service.go": {`fill(&in.ReadTimeoutSeconds, 30)`, `fill(&in.ReadTimeoutSeconds, 31)`},
}

// TestUpgradeToAnotherBuild is not parallel: it ends the operator. The next one is a program built from this very source, but for a changed pod
// template and a changed default. It takes the instance over, does what it is asked to in place, and restarts no pod; the next revision is its own.
func TestUpgradeToAnotherBuild(t *testing.T) {
	covers(t, "X88")
	program := build(t)
	instance := install(t)
	awaitStep(t, instance, v1alpha1.StepStable)
	d := deployment(instance.Namespace, "demo-api-blue")
	before, config, pods := fetch(t, d, d.Namespace, d.Name).Spec.Template, fetchConfig(t, instance), podsOf(t, instance, "blue")
	stopOperator()
	stopOperator = func() {}
	t.Cleanup(func() { restartOperator(t, time.Now) })
	operate(t, program)

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.API.Replicas = 3 })
	cluster.Await(t, d, "the third pod", func() bool { return d.Status.ReadyReplicas == 3 })
	if !reflect.DeepEqual(d.Spec.Template, before) {
		t.Error("the template of what serves was changed")
	}
	if now := podsOf(t, instance, "blue"); slices.ContainsFunc(pods, func(uid types.UID) bool { return !slices.Contains(now, uid) }) {
		t.Errorf("pods were replaced: %v, then %v", pods, now)
	}
	if now := fetchConfig(t, instance); now.UID != config.UID || !reflect.DeepEqual(now.Data, config.Data) {
		t.Error("the settings of what serves were changed")
	}

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	green := deployment(instance.Namespace, "demo-api-green")
	cluster.Await(t, green, "the next revision", func() bool { return true })
	if period := green.Spec.Template.Spec.Containers[0].LivenessProbe.PeriodSeconds; period != 11 {
		t.Errorf("the next revision's liveness is asked every %d s, not as the new operator has it", period)
	}
	if name := green.Spec.Template.Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name; fetch(t, &corev1.ConfigMap{}, instance.Namespace, name).Data["READ_TIMEOUT"] != "31s" {
		t.Error("the next revision has not the new default")
	}
}

// build builds the operator with its changes laid over the source.
func build(t *testing.T) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for file, change := range otherBuild {
		path, err := filepath.Abs(filepath.Join("../../..", file))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(source, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, source) {
			t.Fatalf("%s has no %s", file, change[0])
		}
		replace[path] = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replace[path], changed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "manager")
	command := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./cmd/manager")
	command.Dir = filepath.Join("..", "..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// operate runs a manager on the rig until the test ends.
func operate(t *testing.T, program string) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, cluster.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	command := exec.Command(program, "--kubeconfig="+kubeconfig, "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0", "--proxy-probes")
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait() // it ends because it is told to
		if t.Failed() {
			t.Logf("the other operator said:\n%s", log.String())
		}
	})
}
