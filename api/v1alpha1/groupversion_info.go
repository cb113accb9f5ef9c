// Package v1alpha1 holds the EngLogInstance API: one object that describes a
// complete EngLog installation. It holds types, their validation and their
// defaults, nothing that acts. It must never import anything but Kubernetes
// API packages and the standard library.
//
// +kubebuilder:object:generate=true
// +groupName=englog.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "englog.io", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name generated clients expect.
var SchemeGroupVersion = GroupVersion

// SchemeBuilder collects the functions that register this group's types.
var SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers this group's types with a scheme.
var AddToScheme = SchemeBuilder.AddToScheme

// Resource qualifies a resource name with this group.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &EngLogInstance{}, &EngLogInstanceList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
