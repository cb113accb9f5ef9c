package cutover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kustomizedImage is what config/ names as the operator's image, to be replaced.
const kustomizedImage = "controller:latest"

// deployOperator applies config/default with the image and waits until the operator runs.
func (c *Cluster) deployOperator(ctx context.Context, bin, reference string, change func(string) string) error {
	manifest, err := c.output(ctx, c.kubectl, "kustomize", filepath.Join(c.root, "config", "default"))
	if err != nil {
		return err
	}
	if !strings.Contains(manifest, kustomizedImage) {
		return fmt.Errorf("config/default names no image %s to replace", kustomizedImage)
	}
	manifest = strings.ReplaceAll(manifest, kustomizedImage, reference)
	if change != nil {
		manifest = change(manifest)
	}
	file := filepath.Join(bin, "operator.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", file); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s", "crd/engloginstances.englog.io"); err != nil {
		return err
	}
	return await(ctx, 90*time.Second, "the operator's Deployment to be available", c.operatorAvailable)
}

func (c *Cluster) operatorAvailable(ctx context.Context) (bool, string, error) {
	var list appsv1.DeploymentList
	if err := c.List(ctx, &list, client.InNamespace(OperatorNamespace)); err != nil {
		return false, "", err
	}
	for i := range list.Items {
		d := &list.Items[i]
		want := int32(1)
		if d.Spec.Replicas != nil {
			want = *d.Spec.Replicas
		}
		if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > want {
			return false, fmt.Sprintf("%s has %d of %d pods available", d.Name, s.AvailableReplicas, want), nil
		}
	}
	return len(list.Items) > 0, "no Deployment in " + OperatorNamespace, nil
}

// leader returns the operator's pod that holds the lease, or its only one.
func (c *Cluster) leader(ctx context.Context) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(OperatorNamespace)); err != nil {
		return nil, fmt.Errorf("listing the operator's pods: %w", err)
	}
	var leases coordinationv1.LeaseList
	if err := c.List(ctx, &leases, client.InNamespace(OperatorNamespace)); err != nil {
		return nil, fmt.Errorf("listing the operator's leases: %w", err)
	}
	running := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	for i := range running {
		if len(running) == 1 || holdsALease(leases.Items, running[i].Name) {
			return &running[i], nil
		}
	}
	return nil, fmt.Errorf("none of %d pods in %s holds a lease", len(running), OperatorNamespace)
}

func holdsALease(leases []coordinationv1.Lease, pod string) bool {
	for _, l := range leases {
		if l.Spec.HolderIdentity != nil && strings.HasPrefix(*l.Spec.HolderIdentity, pod+"_") {
			return true
		}
	}
	return false
}

// await polls until done, and says at the end of its patience what was still missing.
func await(ctx context.Context, within time.Duration, what string, done func(context.Context) (bool, string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		ok, missing, err := done(ctx)
		if ok {
			return nil
		}
		if err != nil {
			missing = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %s", within, what, missing)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
