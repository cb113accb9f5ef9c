package render

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

const namespaceLabel = corev1.LabelMetadataName

// networkPolicies limit who reaches a component's pods and whom they reach. With the API's come those of the Jobs, which run its code.
func networkPolicies(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	if in.Spec.NetworkPolicy.Mode == v1alpha1.NetworkPolicyDisabled {
		return nil, nil
	}
	p, err := networkPolicy(in, plan.LiveName(in.Instance.Name, e.Component), string(e.Component), metav1ac.LabelSelector().
		WithMatchLabels(selector(in.Instance.Name, string(e.Component), "")), policySpec(in, e.Component))
	if err != nil || e.Component != v1alpha1.API {
		return p, err
	}
	jobs := metav1ac.LabelSelector().WithMatchLabels(map[string]string{InstanceLabel: in.Instance.Name}).WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(ComponentLabel).WithOperator(metav1.LabelSelectorOpIn).WithValues(migrateComponent, checkComponent))
	j, err := networkPolicy(in, in.Instance.Name+"-jobs", "", jobs, networkingv1.NetworkPolicySpec{Egress: append(egress(in, v1alpha1.Worker), checked(in))})
	return append(p, j...), err
}

func networkPolicy(
	in Input, name, label string, pods *metav1ac.LabelSelectorApplyConfiguration, spec networkingv1.NetworkPolicySpec,
) ([]runtime.ApplyConfiguration, error) {
	spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	rules, err := convert[networkingv1ac.NetworkPolicySpecApplyConfiguration](spec)
	if err != nil {
		return nil, err
	}
	return one(networkingv1ac.NetworkPolicy(name, in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, label)).WithOwnerReferences(in.owner()).
		WithSpec(rules.WithPodSelector(pods))), nil
}

func policySpec(in Input, c v1alpha1.ComponentName) networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{Ingress: ingress(in, c), Egress: egress(in, c)}
}

// checked lets a check's Job ask the instance itself.
func checked(in Input) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{Ports: tcp(in.Spec.Config.Port), To: []networkingv1.NetworkPolicyPeer{
		pods(selector(in.Instance.Name, string(v1alpha1.API), "")), pods(selector(in.Instance.Name, string(v1alpha1.Frontend), "")),
	}}
}

// ingress opens the service port to everybody or to named peers, and the admin port to those who probe and scrape.
func ingress(in Input, c v1alpha1.ComponentName) []networkingv1.NetworkPolicyIngressRule {
	var rules []networkingv1.NetworkPolicyIngressRule
	if c != v1alpha1.Worker {
		rules = append(rules, serviceIngress(in, c)...)
	}
	rules = append(rules, networkingv1.NetworkPolicyIngressRule{Ports: tcp(adminPort), From: watchers(in)})
	for _, p := range peers(in, v1alpha1.TrafficIngress) {
		open := p.Ports
		if len(open) == 0 && c == v1alpha1.Worker {
			continue // a worker has no service port
		}
		if len(open) == 0 {
			open = []int32{in.Spec.Config.Port}
		}
		rules = append(rules, networkingv1.NetworkPolicyIngressRule{Ports: tcp(open...), From: []networkingv1.NetworkPolicyPeer{*p.Peer}})
	}
	return rules
}

// serviceIngress opens the service port. In Strict mode only the instance's own frontend and checks, and the operator, are let in unnamed.
func serviceIngress(in Input, c v1alpha1.ComponentName) []networkingv1.NetworkPolicyIngressRule {
	rule := networkingv1.NetworkPolicyIngressRule{Ports: tcp(in.Spec.Config.Port)}
	if in.Spec.NetworkPolicy.Mode != v1alpha1.NetworkPolicyStrict {
		return []networkingv1.NetworkPolicyIngressRule{rule}
	}
	if c == v1alpha1.API {
		rule.From = append(rule.From, pods(selector(in.Instance.Name, string(v1alpha1.Frontend), "")))
	}
	rule.From = append(rule.From, pods(selector(in.Instance.Name, checkComponent, "")))
	if ns := in.Cluster.OperatorNamespace; ns != "" {
		rule.From = append(rule.From, namespace(ns))
	}
	return []networkingv1.NetworkPolicyIngressRule{rule}
}

// watchers may reach the admin port. An operator outside of the cluster comes through the API server, whose address no policy can name:
// then the port is open.
func watchers(in Input) []networkingv1.NetworkPolicyPeer {
	if in.Cluster.OperatorNamespace == "" {
		return nil
	}
	from := []networkingv1.NetworkPolicyPeer{namespace(in.Cluster.OperatorNamespace)}
	for _, ns := range in.Cluster.MonitoringNamespaces {
		from = append(from, namespace(ns))
	}
	return from
}

// egress lets a frontend speak to its API alone, and the others to what they need. The ports of external stores stand in Secrets, so Default
// opens all but the link-local range, in which clouds keep the credentials of nodes.
func egress(in Input, c v1alpha1.ComponentName) []networkingv1.NetworkPolicyEgressRule {
	rules := []networkingv1.NetworkPolicyEgressRule{{Ports: dns()}}
	if c == v1alpha1.Frontend {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{
			Ports: tcp(in.Spec.Config.Port), To: []networkingv1.NetworkPolicyPeer{pods(selector(in.Instance.Name, string(v1alpha1.API), ""))},
		})
	}
	switch {
	case in.Spec.NetworkPolicy.Mode == v1alpha1.NetworkPolicyStrict && c != v1alpha1.Frontend:
		rules = append(rules, managedStores(in)...)
	case in.Spec.NetworkPolicy.Mode != v1alpha1.NetworkPolicyStrict && (c != v1alpha1.Frontend || in.Spec.Tracing.Mode == v1alpha1.ModeEnabled):
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{
			{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"169.254.0.0/16"}}},
			{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fe80::/10"}}},
		}})
	}
	for _, p := range peers(in, v1alpha1.TrafficEgress) {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{Ports: tcp(p.Ports...), To: []networkingv1.NetworkPolicyPeer{*p.Peer}})
	}
	return rules
}

// managedStores are the stores beside the instance.
func managedStores(in Input) []networkingv1.NetworkPolicyEgressRule {
	var rules []networkingv1.NetworkPolicyEgressRule
	for _, s := range stores(in) {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{
			Ports: tcp(s.port), To: []networkingv1.NetworkPolicyPeer{pods(selector(in.Instance.Name, s.component, ""))},
		})
	}
	return rules
}

func peers(in Input, d v1alpha1.TrafficDirection) []v1alpha1.NetworkPeer {
	var found []v1alpha1.NetworkPeer
	for _, p := range in.Spec.NetworkPolicy.Peers {
		if p.Direction == d && p.Peer != nil {
			found = append(found, p)
		}
	}
	return found
}

func namespace(name string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: name}}}
}

func pods(labels map[string]string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: labels}}
}

func tcp(numbers ...int32) []networkingv1.NetworkPolicyPort {
	ports := make([]networkingv1.NetworkPolicyPort, 0, len(numbers))
	for _, n := range numbers {
		ports = append(ports, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(n))})
	}
	return ports
}

// dns is the port that names are asked at, and 5353, at which the DNS pods of OpenShift listen behind it: most plugins see packets after the
// Service's address and port were replaced.
func dns() []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	for _, number := range []int32{53, 5353} {
		ports = append(ports, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(number))})
		ports = append(ports, tcp(number)...)
	}
	return ports
}
