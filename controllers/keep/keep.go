// Package keep fills the Secrets that the operator makes up itself: signing keys, session keys, the key of its digests, and the credentials
// of Managed stores. It only ever adds what is missing; a value that exists is never replaced.
//
// It must never log, return in an error, or hand to another room a value that it has read or made.
package keep

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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

// digestKey is the key of the generated Secret that digests of other Secrets are made with.
const digestKey = "digest-key"

// Keeper keeps the generated Secrets.
type Keeper struct {
	// Live reads past the caches: Secrets are in none.
	Live   client.Reader
	Client client.Client
}

// Conflict is a Secret with a name of ours that is not ours.
type Conflict struct{ Secret string }

func (c *Conflict) Error() string {
	return fmt.Sprintf("Secret %s exists and does not belong to this instance: rename or delete it, or choose another name for the instance", c.Secret)
}

// Reason is what a condition says about it.
func (c *Conflict) Reason() string { return "NameConflict" }

// Unfit is a Secret in which a person has written what cannot be used.
type Unfit struct{ Secret, Problem string }

func (u *Unfit) Error() string { return fmt.Sprintf("Secret %s: %s", u.Secret, u.Problem) }

// Reason is what a condition says about it.
func (u *Unfit) Reason() string { return "CredentialsUnfit" }

// Keep makes sure that everything which the operator may make up exists, and returns the digest key.
func (k *Keeper) Keep(ctx context.Context, instance *v1alpha1.EngLogInstance, references []revision.Reference) ([]byte, error) {
	wanted := map[string]func() []byte{digestKey: random}
	name := revision.GeneratedName(instance.Name)
	for _, r := range references {
		if r.Secret == name {
			wanted[r.Key] = random
		}
	}
	secret, err := k.fill(ctx, instance, name, wanted)
	if err != nil {
		return nil, err
	}
	return secret.Data[digestKey], k.stores(ctx, instance)
}

// random is 32 bytes of entropy as text, so that they can be a variable, a file or a part of a URI.
func random() []byte {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails, by its contract
	return []byte(base64.RawURLEncoding.EncodeToString(raw))
}

// fill creates the Secret or adds the keys that it lacks. It belongs to the instance and goes with it.
func (k *Keeper) fill(ctx context.Context, instance *v1alpha1.EngLogInstance, name string, wanted map[string]func() []byte) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := k.Live.Get(ctx, types.NamespacedName{Namespace: instance.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		secret = owned(instance, name)
		complete(secret, wanted)
		if err := k.Client.Create(ctx, secret, client.FieldOwner("englog-operator")); err != nil {
			return nil, fmt.Errorf("creating Secret %s: %w", name, err)
		}
		return secret, nil
	case err != nil:
		return nil, fmt.Errorf("reading Secret %s: %w", name, err)
	case !metav1.IsControlledBy(secret, instance):
		return nil, &Conflict{Secret: name}
	}
	before := secret.DeepCopy()
	if !complete(secret, wanted) {
		return secret, nil
	}
	if err := k.Client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner("englog-operator")); err != nil {
		return nil, fmt.Errorf("adding keys to Secret %s: %w", name, err)
	}
	return secret, nil
}

// complete adds what is missing and returns whether anything was.
func complete(secret *corev1.Secret, wanted map[string]func() []byte) bool {
	changed := false
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for key, make := range wanted {
		if len(secret.Data[key]) == 0 {
			secret.Data[key], changed = make(), true
		}
	}
	return changed
}

func owned(instance *v1alpha1.EngLogInstance, name string) *corev1.Secret {
	owner := metav1.NewControllerRef(instance, v1alpha1.GroupVersion.WithKind("EngLogInstance"))
	no := false
	owner.BlockOwnerDeletion = &no
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: instance.Namespace, Name: name, Labels: maps.Clone(labelsOf(instance)), OwnerReferences: []metav1.OwnerReference{*owner},
	}}
}

func labelsOf(instance *v1alpha1.EngLogInstance) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": "englog", "app.kubernetes.io/instance": instance.Name, "app.kubernetes.io/managed-by": "englog-operator",
	}
}
