package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// onRig makes a bench on a real API server whose pods are made up, with the operator's API Deployment to copy from.
func onRig(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	module, err := output(t.Context(), filepath.Join("peers", "argo-rollouts"), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-rollouts")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.Start(rig.Options{CRDPaths: []string{filepath.Join(module, "manifests", "crds")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() })
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, r.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{Stage: &cutover.Stage{Cluster: &cutover.Cluster{WithWatch: r.Client, Kubeconfig: file}}}
	for _, o := range operatorsObjects() {
		if err := b.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.copySettings(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func operatorsObjects() []client.Object {
	labels := map[string]string{"app.kubernetes.io/instance": cutover.Name, "app.kubernetes.io/component": "api"}
	zero := int32(0)
	meta := metav1.ObjectMeta{Namespace: cutover.Namespace, Name: "demo-api-blue", Labels: labels}
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cutover.Namespace}},
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"LOG_LEVEL": "info", "ENGLOG_REVISION": "abc"}},
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Replicas: &zero, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "api", Image: "old", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}},
			}},
		}},
	}
}

func TestPeersOnARealAPIServer(t *testing.T) {
	b := onRig(t)
	t.Run("the script's objects go through its steps", func(t *testing.T) { scriptSteps(t, b) })
	t.Run("Argo's objects keep every field", func(t *testing.T) { argoFields(t, b) })
}

func scriptSteps(t *testing.T, b *bench) {
	s := &script{bench: b}
	if err := s.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	switched, err := b.watchRoute(ctx, s.service())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	var svc corev1.Service
	if err := b.Get(t.Context(), client.ObjectKey{Namespace: cutover.Namespace, Name: s.service()}, &svc); err != nil || svc.Spec.Selector[releaseLabel] != "r1" {
		t.Errorf("the Service selects %v, %v; want r1", svc.Spec.Selector, err)
	}
	stop()
	if seen := <-switched; len(seen.moved) != 1 || seen.converged.Before(seen.moved[0]) {
		t.Errorf("the watch saw %d moves, and the endpoints converged at %s", len(seen.moved), seen.converged)
	}
	if err := s.remove(t.Context()); err != nil {
		t.Error(err)
	}
}

// argoFields reads back what was applied: an unknown field would have been dropped in silence.
func argoFields(t *testing.T, b *bench) {
	a := &argo{bench: b}
	for _, name := range []string{a.service(), preview} {
		if err := a.replace(t.Context(), newService(name, "argo", "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.analysis(t.Context(), "argo-after", a.service()); err != nil {
		t.Fatal(err)
	}
	if err := a.apply(t.Context(), release{name: "r1", version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	for kind, paths := range map[string][][]string{
		"Rollout/" + argoRollout: {
			{"spec", "strategy", "blueGreen", "prePromotionAnalysis", "templates"}, {"spec", "strategy", "blueGreen", "postPromotionAnalysis", "templates"},
			{"spec", "progressDeadlineAbort"}, {"spec", "strategy", "blueGreen", "previewService"},
		},
		"AnalysisTemplate/argo-after": {{"spec", "metrics"}},
	} {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(argoGroup)
		o.SetKind(filepath.Dir(kind))
		if err := b.Get(t.Context(), client.ObjectKey{Namespace: cutover.Namespace, Name: filepath.Base(kind)}, o); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if _, found, err := unstructured.NestedFieldNoCopy(o.Object, path...); !found || err != nil {
				t.Errorf("%s lacks %v: %v", kind, path, err)
			}
		}
		if metrics, found, _ := unstructured.NestedSlice(o.Object, "spec", "metrics"); found {
			metric, _ := metrics[0].(map[string]any)
			for _, field := range []string{"count", "interval", "initialDelay", "failureLimit", "consecutiveErrorLimit", "successCondition"} {
				if _, has := metric[field]; !has {
					t.Errorf("%s: the metric lacks %s", kind, field)
				}
			}
		}
	}
}

// TestArgoJudges runs the real controller, whose path ROLLOUTS_CONTROLLER names (the bench leaves it in the cache). There
// is no network to pods on this API server, so that every analysis fails: a release is refused.
func TestArgoJudges(t *testing.T) {
	binary := os.Getenv("ROLLOUTS_CONTROLLER")
	if binary == "" {
		t.Skip("set ROLLOUTS_CONTROLLER to Argo Rollouts' controller")
	}
	b := onRig(t)
	config, err := b.kubeconfigAs(argoUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(config) })
	controller := exec.CommandContext(t.Context(), binary, "--kubeconfig="+config, "--leader-elect=false", "--healthzPort=28080", "--metricsPort=28090")
	if err := controller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = controller.Wait() })
	a := &argo{bench: b}
	if err := a.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	end, err := a.bring(t.Context(), release{name: "r1", version: versions[answers500], fault: answers500})
	if err != nil || !strings.HasPrefix(end.outcome, "Degraded") {
		t.Errorf("a release that fails its analysis: %s, %v; want Degraded", end.outcome, err)
	}
	if err := a.remove(t.Context()); err != nil {
		t.Error(err)
	}
}
