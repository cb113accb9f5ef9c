package cutover

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// newInstance is the sample that the demo applies, with the options filled in.
func newInstance(o Options) (*v1alpha1.EngLogInstance, error) {
	path := filepath.Join(o.Root, "config", "samples", "demo.yaml")
	manifest, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the sample: %w", err)
	}
	var i v1alpha1.EngLogInstance
	if err := yaml.UnmarshalStrict(manifest, &i); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	i.Namespace, i.Name, i.Spec.Version = Namespace, Name, VersionOld
	confirm := int32(o.ConfirmSeconds)
	i.Spec.Rollout.ConfirmSeconds = &confirm
	i.Spec.Rollout.RetentionSeconds = int32(o.RetentionSeconds)
	if o.Spec != nil {
		o.Spec(&i.Spec)
	}
	return &i, nil
}

// prepareNamespace makes the demo's namespace, under the strictest Pod Security, and its Secret.
func (s *Stage) prepareNamespace(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := s.Create(ctx, ns); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making namespace %s: %w", Namespace, err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name + "-secrets"},
		StringData: map[string]string{
			"DATABASE_URL": s.database, "REDIS_URL": redisURL(), "JWT_SECRET": rand.Text() + rand.Text(), "SESSION_KEY": rand.Text() + rand.Text(),
		},
	}
	if err := client.IgnoreNotFound(s.Delete(ctx, secret.DeepCopy())); err != nil {
		return fmt.Errorf("removing the Secret of an earlier run: %w", err)
	}
	if err := s.Create(ctx, secret); err != nil {
		return fmt.Errorf("making Secret %s: %w", secret.Name, err)
	}
	return nil
}

// removeInstance deletes the instance of an earlier run, if there is one, and waits until nothing of it is left.
func (c *Cluster) removeInstance(ctx context.Context) error {
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name}}
	err := c.Delete(ctx, i, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) {
		return fmt.Errorf("deleting the instance: %w", err)
	}
	return await(ctx, 90*time.Second, "everything of the deleted instance to be gone", func(ctx context.Context) (bool, string, error) {
		left, err := c.Leftovers(ctx)
		return len(left) == 0, fmt.Sprintf("%d objects are left: %v", len(left), left), err
	})
}

// Leftovers lists the objects in the demo's namespace that carry the instance's label, or are the instance itself.
func (c *Cluster) Leftovers(ctx context.Context) ([]string, error) {
	kinds, err := c.namespacedKinds()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, kind := range kinds {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		if err := c.List(ctx, list, client.InNamespace(Namespace)); err != nil {
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) || meta.IsNoMatchError(err) {
				continue
			}
			return nil, fmt.Errorf("listing %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if belongs(kind.Kind, &list.Items[i]) {
				left = append(left, kind.Kind+"/"+list.Items[i].Name)
			}
		}
	}
	return left, nil
}

// belongs reports whether an object is the instance or something made for it.
func belongs(kind string, o *metav1.PartialObjectMetadata) bool {
	if o.Labels["app.kubernetes.io/instance"] == Name && o.Labels["app.kubernetes.io/name"] == "englog" {
		return true
	}
	for _, owner := range o.OwnerReferences {
		if owner.Kind == "EngLogInstance" && owner.Name == Name {
			return true
		}
	}
	return kind == "EngLogInstance" && o.Name == Name
}

// apply sends the instance's manifest as a user would.
func (c *Cluster) apply(ctx context.Context, i *v1alpha1.EngLogInstance) error {
	if err := c.Create(ctx, i); err != nil {
		return fmt.Errorf("applying the instance: %w", err)
	}
	return nil
}

// get reads the demo's instance.
func (c *Cluster) get(ctx context.Context) (*v1alpha1.EngLogInstance, error) {
	i := &v1alpha1.EngLogInstance{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: Name}, i); err != nil {
		return nil, fmt.Errorf("reading the instance: %w", err)
	}
	return i, nil
}

// change merges a patch into the spec, the one act of a user in a cutover. It returns the generation that this made.
func (c *Cluster) change(ctx context.Context, spec map[string]any) (int64, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return 0, err
	}
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name}}
	if err := c.Patch(ctx, i, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return 0, fmt.Errorf("changing the spec to %s: %w", patch, err)
	}
	return i.Generation, nil
}
