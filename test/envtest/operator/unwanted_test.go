package operator

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

func TestWhatIsNoLongerWantedGoes(t *testing.T) {
	t.Parallel()
	instance := install(t, func(i *v1alpha1.EngLogInstance) {
		i.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressSpec{ClassName: "nginx"}, Hosts: []v1alpha1.Hostname{"api.example.org"}}
	})
	ingress := &networkingv1.Ingress{}
	ingress.Namespace, ingress.Name = instance.Namespace, instance.Name
	cluster.Await(t, ingress, "Ingress", func() bool { return true })
	policy := &networkingv1.NetworkPolicy{}
	policy.Namespace, policy.Name = instance.Namespace, instance.Name+"-api"
	cluster.Await(t, policy, "NetworkPolicy", func() bool { return true })
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Exposure = nil
		s.NetworkPolicy = &v1alpha1.NetworkPolicySpec{Mode: v1alpha1.NetworkPolicyDisabled}
	})
	cluster.AwaitGone(t, ingress)
	cluster.AwaitGone(t, policy)
}
