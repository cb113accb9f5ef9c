package keep

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

// keptLabel marks what outlives its instance and is taken up again by one of the same name.
const keptLabel = "englog.io/kept"

// stores makes up the credentials of Managed stores. Their Secrets have no owner: they are kept with the volumes that were made with them,
// since neither is worth anything without the other.
func (k *Keeper) stores(ctx context.Context, instance *v1alpha1.EngLogInstance) error {
	for _, store := range revision.ManagedStores(instance.Spec.WithDefaults()) {
		if err := k.store(ctx, instance, store); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) store(ctx context.Context, instance *v1alpha1.EngLogInstance, store string) error {
	name := revision.StoreName(instance.Name, store)
	secret := &corev1.Secret{}
	err := k.Live.Get(ctx, types.NamespacedName{Namespace: instance.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return k.createStore(ctx, instance, store, name)
	case err != nil:
		return fmt.Errorf("reading Secret %s: %w", name, err)
	case secret.Labels[keptLabel] == "" || secret.Labels["app.kubernetes.io/instance"] != instance.Name:
		return &Conflict{Secret: name}
	}
	if problem := revision.UnfitCredential(secret.Data); problem != "" {
		return &Unfit{Secret: name, Problem: problem} // pods go on with what they have
	}
	before := secret.DeepCopy()
	content := revision.StoreCredentials(instance, store, secret.Data, random)
	if maps.EqualFunc(content, before.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
		return nil
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	maps.Copy(secret.Data, content)
	if err := k.Client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner("englog-operator")); err != nil {
		return fmt.Errorf("completing Secret %s: %w", name, err)
	}
	return nil
}

func (k *Keeper) createStore(ctx context.Context, instance *v1alpha1.EngLogInstance, store, name string) error {
	labels := labelsOf(instance)
	labels["app.kubernetes.io/component"], labels[keptLabel] = store, "credentials"
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: name, Labels: labels},
		Data:       revision.StoreCredentials(instance, store, nil, random),
	}
	if err := k.Client.Create(ctx, secret, client.FieldOwner("englog-operator")); err != nil {
		return fmt.Errorf("creating Secret %s: %w", name, err)
	}
	return nil
}
