package node

import (
	"net"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// Elsewhere makes a namespace under restricted Pod Security, and in it the stores under the names that the original document gives them. They
// run outside of the cluster's pods.
func Elsewhere(t *testing.T, c client.Client, namespace string) {
	t.Helper()
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}}
	for name, address := range map[string]string{"postgres-service": local.Postgres, "redis-service": local.Redis} {
		objects = append(objects, outside(t, namespace, name, address)...)
	}
	for _, o := range objects {
		if err := c.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// outside is a Service without a selector that leads to one address.
func outside(t *testing.T, namespace, name, address string) []client.Object {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	port, protocol := int32(number), corev1.ProtocolTCP
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	slice := meta
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	return []client.Object{
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: port}}}},
		&discoveryv1.EndpointSlice{
			ObjectMeta: slice, AddressType: discoveryv1.AddressTypeIPv4,
			Ports:     []discoveryv1.EndpointPort{{Port: &port, Protocol: &protocol}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{host}}},
		},
	}
}
