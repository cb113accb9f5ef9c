package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// Labels of the peers' objects. The release's is what their selectors tell releases apart by.
const (
	benchLabel   = "cutover-bench"
	releaseLabel = "release"
	repository   = "ghcr.io/garnizeh/englog"
	replicas     = 2 // as the demo's instance has
)

// podTemplate is the pod that the operator made for the API, under a peer's labels: the same image, settings, secrets,
// probes, limits and grace, so that only the way of cutting over differs.
func (b *bench) podTemplate(ctx context.Context, peer string, r release) (corev1.PodTemplateSpec, error) {
	var found appsv1.DeploymentList
	err := b.List(ctx, &found, client.InNamespace(cutover.Namespace),
		client.MatchingLabels{"app.kubernetes.io/instance": cutover.Name, "app.kubernetes.io/component": "api"})
	if err != nil || len(found.Items) == 0 {
		return corev1.PodTemplateSpec{}, errors.Join(errors.New("finding the operator's API Deployment"), err)
	}
	t := found.Items[0].Spec.Template
	t.ObjectMeta = metav1.ObjectMeta{Labels: map[string]string{benchLabel: peer, releaseLabel: r.name}}
	t.Spec.TopologySpreadConstraints = nil
	t.Spec.ServiceAccountName, t.Spec.DeprecatedServiceAccount = "default", ""
	c := &t.Spec.Containers[0]
	c.Image = repository + ":" + r.version
	c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: settingsMap}}}}
	c.Env = append(c.Env, corev1.EnvVar{Name: "ENGLOG_REVISION", Value: r.name})
	return t, nil
}

const settingsMap = "cutover-bench-settings"

// copySettings keeps the instance's settings for the peers: the operator removes those of old revisions.
func (b *bench) copySettings(ctx context.Context) error {
	var maps corev1.ConfigMapList
	err := b.List(ctx, &maps, client.InNamespace(cutover.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": cutover.Name})
	if err != nil || len(maps.Items) == 0 {
		return errors.Join(errors.New("finding the instance's settings"), err)
	}
	data := maps.Items[0].Data
	delete(data, "ENGLOG_REVISION")
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: settingsMap, Labels: map[string]string{benchLabel: "all"}}, Data: data}
	b.closers = append(b.closers, func() { _ = b.Delete(context.Background(), m) })
	return b.replace(ctx, m)
}

// replace deletes an object that an earlier run left, and creates it.
func (b *bench) replace(ctx context.Context, o client.Object) error {
	old, _ := o.DeepCopyObject().(client.Object)
	if err := gone(b.Delete(ctx, old, client.PropagationPolicy(metav1.DeletePropagationForeground))); err != nil {
		return fmt.Errorf("removing %s of an earlier run: %w", o.GetName(), err)
	}
	return until(ctx, 90*time.Second, o.GetName()+" of an earlier run to be gone", func(ctx context.Context) (bool, error) {
		o.SetResourceVersion("")
		err := b.Create(ctx, o)
		return err == nil, err
	})
}

// newService makes a Service of a peer's, selecting a release.
func newService(name, peer, release string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: name, Labels: map[string]string{benchLabel: peer}},
		Spec: corev1.ServiceSpec{
			Selector: selector(peer, release),
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
}

// selector of a peer's pods; without a release, of all of them.
func selector(peer, release string) map[string]string {
	s := map[string]string{benchLabel: peer}
	if release != "" {
		s[releaseLabel] = release
	}
	return s
}

// podsAre reports whether the pods of a peer are all of one release, and ready.
func (b *bench) podsAre(ctx context.Context, peer, release string) (bool, error) {
	var pods corev1.PodList
	if err := b.List(ctx, &pods, client.InNamespace(cutover.Namespace), client.MatchingLabels(selector(peer, ""))); err != nil {
		return false, err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Labels[releaseLabel] != release || !ready(p) {
			return false, fmt.Errorf("pod %s is there, of release %s", p.Name, p.Labels[releaseLabel])
		}
	}
	return len(pods.Items) == replicas, fmt.Errorf("%d pods", len(pods.Items))
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// as makes a client whose requests the audit log shows under a name of their own.
func (b *bench) as(user string) (client.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", b.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Impersonate.UserName, config.Impersonate.Groups = user, []string{"system:masters"}
	return client.New(config, client.Options{Scheme: b.Scheme()})
}

// loadBadImages builds the releases that are bad on purpose and puts them into the node.
func (b *bench) loadBadImages(ctx context.Context) error {
	for tag, version := range map[string]string{"badrelease_unready": versions[neverReady], "badrelease_500": versions[answers500]} {
		binary := filepath.Join(os.TempDir(), "cutover-bench", version, "englog")
		b.say("building release %s (%s)", version, tag)
		err := command(ctx, "go", "build", "-tags", tag, "-ldflags",
			"-s -w -X github.com/garnizeh/englog-operator/workload/run.Version="+version, "-o", binary,
			"github.com/garnizeh/englog-operator/cmd/englog")
		if err != nil {
			return err
		}
		if err := command(ctx, "go", "run", "github.com/garnizeh/englog-operator/hack/cluster", "load-image", repository+":"+version, binary); err != nil {
			return err
		}
		_ = os.RemoveAll(filepath.Dir(binary)) // it is in the node now
	}
	return nil
}

func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w", name, args, err)
	}
	return nil
}
