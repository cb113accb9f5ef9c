package awssm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

const owner = client.FieldOwner("englog-operator")

// copy brings the instance's Secret up to date and says whether it changed.
func (c *Copier) copy(ctx context.Context, s *source) (bool, error) {
	values, err := c.fetch(ctx, s)
	if err != nil {
		return false, err
	}
	return c.write(ctx, s.instance, values)
}

// fetch asks AWS and keeps what is wanted.
func (c *Copier) fetch(ctx context.Context, s *source) (map[string][]byte, error) {
	asker, err := c.asker(ctx, s)
	if err != nil {
		return nil, err
	}
	answer, err := asker.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.spec.SecretID})
	if err != nil {
		return nil, fmt.Errorf("reading secret %s in %s: %w", s.spec.SecretID, s.spec.Region, brief(err))
	}
	if answer.SecretString == nil {
		return nil, fmt.Errorf("secret %s in %s is binary: store a JSON object of names and texts", s.spec.SecretID, s.spec.Region)
	}
	values, err := pick(*answer.SecretString, s.keys)
	if err != nil {
		return nil, fmt.Errorf("secret %s in %s %w", s.spec.SecretID, s.spec.Region, err)
	}
	return values, nil
}

// pick reads a flat JSON object and takes the wanted keys. Its errors name keys and never quote content.
func pick(text string, keys map[string]bool) (map[string][]byte, error) {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &all) != nil || all == nil {
		return nil, errors.New("is no JSON object: store names and texts, such as {\"JWT_SECRET\": \"…\"}")
	}
	values := map[string][]byte{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		raw, ok := all[key]
		if !ok {
			continue
		}
		var value *string
		if json.Unmarshal(raw, &value) != nil || value == nil {
			return nil, fmt.Errorf("holds something else than a text under %s: store it in quotes", key)
		}
		if *value != "" {
			values[key] = []byte(*value)
		}
	}
	if len(values) == 0 && len(keys) > 0 {
		return nil, fmt.Errorf("holds none of the keys that are needed: %s", strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	return values, nil
}

// write makes the Secret hold exactly these values. A Secret that somebody else has made is left alone.
func (c *Copier) write(ctx context.Context, instance *v1alpha1.EngLogInstance, values map[string][]byte) (bool, error) {
	name := instance.InstanceSecretName()
	secret := &corev1.Secret{}
	err := c.options.Client.Get(ctx, types.NamespacedName{Namespace: instance.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return true, wrap(c.options.Client.Create(ctx, newSecret(instance, name, values), owner), "creating Secret "+name)
	case err != nil:
		return false, fmt.Errorf("reading Secret %s: %w", name, err)
	case !metav1.IsControlledBy(secret, instance):
		return false, fmt.Errorf("secret %s exists and does not belong to this instance: delete it so that it can be filled from AWS, or set spec.secrets.type to Kubernetes", name)
	case maps.EqualFunc(secret.Data, values, func(a, b []byte) bool { return string(a) == string(b) }):
		return false, nil
	}
	before := secret.DeepCopy()
	secret.Data = values
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return true, wrap(c.options.Client.Patch(ctx, secret, patch, owner), "writing Secret "+name)
}

func wrap(err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// newSecret belongs to the instance and goes with it: AWS has the original.
func newSecret(instance *v1alpha1.EngLogInstance, name string, values map[string][]byte) *corev1.Secret {
	controller := metav1.NewControllerRef(instance, v1alpha1.GroupVersion.WithKind("EngLogInstance"))
	controller.BlockOwnerDeletion = new(bool)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: instance.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{*controller},
			Labels: map[string]string{
				"app.kubernetes.io/name": "englog", "app.kubernetes.io/instance": instance.Name, "app.kubernetes.io/managed-by": "englog-operator",
			},
		},
		Data: values,
	}
}
