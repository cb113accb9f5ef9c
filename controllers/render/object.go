package render

import (
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// Object is the apply configuration of a kind that has no generated one: those of operators that may or may not be in the cluster.
type Object struct {
	APIVersion string                                 `json:"apiVersion"`
	Kind       string                                 `json:"kind"`
	Metadata   *metav1ac.ObjectMetaApplyConfiguration `json:"metadata"`
	Spec       map[string]any                         `json:"spec,omitempty"`
}

// newObject makes an owned object of a component; an empty component leaves that label out.
func newObject(in Input, apiVersion, kind, name, component string, spec map[string]any) *Object {
	meta := metav1ac.ObjectMeta().WithName(name).WithNamespace(in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, component)).WithOwnerReferences(in.owner())
	return &Object{APIVersion: apiVersion, Kind: kind, Metadata: meta, Spec: spec}
}

// IsApplyConfiguration makes an Object a runtime.ApplyConfiguration.
func (*Object) IsApplyConfiguration() {}

// GetKind is the object's kind.
func (o *Object) GetKind() *string { return &o.Kind }

// GetAPIVersion is the object's group and version.
func (o *Object) GetAPIVersion() *string { return &o.APIVersion }

// GetName is the object's name.
func (o *Object) GetName() *string { return o.Metadata.Name }

// GetNamespace is the object's namespace.
func (o *Object) GetNamespace() *string { return o.Metadata.Namespace }
