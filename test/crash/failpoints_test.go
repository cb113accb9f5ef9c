package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// points is the directory, shared with the operator's pod, through which it is told where to die, and tells where it did.
type points struct{ dir string }

const (
	pointsMount  = "/failpoints"
	pointsScript = "script"
)

func newPoints(t *testing.T) points {
	t.Helper()
	p := points{t.TempDir()}
	if err := os.Chmod(p.dir, 0o777); err != nil { //nolint:gosec // the operator runs as another user
		t.Fatal(err)
	}
	return p
}

// arm writes the script of the deaths to come and forgets earlier ones.
func (p points) arm(lines []string) error {
	script := filepath.Join(p.dir, pointsScript)
	if err := os.Remove(script + ".hit"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(script, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return err
	}
	return os.Chmod(script, 0o666) //nolint:gosec // the operator runs as another user
}

// hits are the writes at which the operator has died since arm.
func (p points) hits() []string {
	record, err := os.ReadFile(filepath.Join(p.dir, pointsScript+".hit"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(record)), "\n")
}

// The lease of the test's operator runs out sooner, so that a whole matrix of deaths takes minutes.
var quickLease = []string{"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms"}

// manifest gives the operator the directory, and the right to have it.
func (p points) manifest(text string) string {
	docs := strings.Split(text, "\n---\n")
	for i, doc := range docs {
		switch {
		case strings.Contains(doc, "\nkind: Deployment\n"):
			docs[i] = p.deployment(doc)
		case strings.Contains(doc, "\nkind: Namespace\n"):
			docs[i] = strings.ReplaceAll(doc, "pod-security.kubernetes.io/enforce: restricted", "pod-security.kubernetes.io/enforce: privileged")
		}
	}
	return strings.Join(docs, "\n---\n")
}

func (p points) deployment(doc string) string {
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict([]byte(doc), &d); err != nil {
		return "" // the operator never gets available, and that is told
	}
	pod := &d.Spec.Template.Spec
	manager := &pod.Containers[0]
	manager.Args = append(manager.Args, quickLease...)
	manager.Env = append(manager.Env, corev1.EnvVar{Name: "ENGLOG_FAILPOINTS", Value: pointsMount + "/" + pointsScript})
	manager.VolumeMounts = append(manager.VolumeMounts, corev1.VolumeMount{Name: "failpoints", MountPath: pointsMount})
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name: "failpoints", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: p.dir}},
	})
	out, err := yaml.Marshal(d)
	if err != nil {
		return ""
	}
	return string(out)
}

// undertaker deletes the pod of an operator that has died, so that the next one starts at once and not when the kubelet's patience with
// crashes allows it. It returns when ctx ends or the script is played.
func (r *rig) undertaker(ctx context.Context, deaths int) error {
	buried := 0
	for buried < deaths {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
		if n := len(r.points.hits()); n > buried {
			buried = n
			if err := r.deleteOperator(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rig) deleteOperator(ctx context.Context) error {
	err := r.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(cutover.OperatorNamespace),
		client.MatchingLabels{"app.kubernetes.io/name": "englog-operator"}, client.GracePeriodSeconds(0))
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("deleting the dead operator's pod: %w", err)
	}
	return nil
}
