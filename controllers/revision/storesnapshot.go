package revision

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// StoreSnapshot is what the pod of a Managed store is made from. It is stored when the store is made, or when the user changes what
// describes its pod, and rendered from there: a new operator with another template, script or default restarts no store.
type StoreSnapshot struct {
	Format   int                    `json:"format"`
	Script   string                 `json:"script"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// Encode gives the form that is stored in a ControllerRevision.
func (s StoreSnapshot) Encode() ([]byte, error) {
	s.Format = format
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding a store's snapshot: %w", err)
	}
	return out, nil
}

// DecodeStore reads the stored form. It refuses the form of a newer operator.
func DecodeStore(stored []byte) (StoreSnapshot, error) {
	var s StoreSnapshot
	if err := json.Unmarshal(stored, &s); err != nil {
		return StoreSnapshot{}, fmt.Errorf("decoding a store's snapshot: %w", err)
	}
	if s.Format < 1 || s.Format > format {
		return StoreSnapshot{}, fmt.Errorf("store's snapshot has format %d and this operator reads 1 to %d: run the newer operator", s.Format, format)
	}
	return s, nil
}

// StoreRecord names the ControllerRevision that a Managed store's snapshot is in. The name follows from what the user wrote about the
// store's pod, without defaults, and not from the size of the volume, which grows in place.
func StoreRecord(instance *v1alpha1.EngLogInstance, store string) (string, error) {
	inputs := v1alpha1.EngLogInstanceSpec{}
	if i := instance.Spec.Image; i != nil {
		inputs.Image = &v1alpha1.ImageSpec{PullSecrets: i.PullSecrets}
	}
	if m := instance.Spec.Database.Managed; store == Database && m != nil {
		pod := *m
		if pod.Storage = nil; pod != (v1alpha1.ManagedDatabase{}) {
			inputs.Database.Managed = &pod
		}
	}
	if store == Database {
		inputs.Database.MaxConnections = instance.Spec.Database.MaxConnections
	}
	if m := instance.Spec.Cache.Managed; store == Cache && m != nil {
		pod := *m
		if pod.Storage = nil; pod != (v1alpha1.ManagedCache{}) {
			inputs.Cache.Managed = &pod
		}
	}
	encoded, err := canonical(inputs)
	if err != nil {
		return "", fmt.Errorf("encoding the inputs of the managed %s: %w", store, err)
	}
	return StoreName(instance.Name, store) + "-v-" + Hash(encoded, nil), nil
}
