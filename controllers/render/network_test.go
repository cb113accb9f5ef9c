package render

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// summarize writes a policy's rules as one line each: from or to whom, on which ports.
func summarize(s networkingv1.NetworkPolicySpec) (in, out []string) {
	for _, r := range s.Ingress {
		in = append(in, portsText(r.Ports)+" from "+peersText(r.From))
	}
	for _, r := range s.Egress {
		out = append(out, portsText(r.Ports)+" to "+peersText(r.To))
	}
	return in, out
}

func portsText(ports []networkingv1.NetworkPolicyPort) string {
	if len(ports) == 0 {
		return "all"
	}
	var all []string
	for _, p := range ports {
		all = append(all, p.Port.String())
	}
	return strings.Join(all, "+")
}

func peersText(peers []networkingv1.NetworkPolicyPeer) string {
	if len(peers) == 0 {
		return "anyone"
	}
	var all []string
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			all = append(all, p.IPBlock.CIDR+" but "+strings.Join(p.IPBlock.Except, ","))
		case p.NamespaceSelector != nil:
			all = append(all, "namespace "+p.NamespaceSelector.MatchLabels[namespaceLabel])
		default:
			all = append(all, "pods "+p.PodSelector.MatchLabels[ComponentLabel])
		}
	}
	return strings.Join(all, " or ")
}

const outside = "all to 0.0.0.0/0 but 169.254.0.0/16 or ::/0 but fe80::/10"

func TestNetworkPolicies(t *testing.T) {
	for _, c := range []struct {
		mode      v1alpha1.NetworkPolicyMode
		component v1alpha1.ComponentName
		in, out   []string
	}{
		{v1alpha1.NetworkPolicyDefault, v1alpha1.API,
			[]string{"8080 from anyone", "8081 from namespace englog-system or namespace monitoring"}, []string{"53+53+5353+5353 to anyone", outside}},
		{v1alpha1.NetworkPolicyDefault, v1alpha1.Worker,
			[]string{"8081 from namespace englog-system or namespace monitoring"}, []string{"53+53+5353+5353 to anyone", outside}},
		{v1alpha1.NetworkPolicyDefault, v1alpha1.Frontend,
			[]string{"8080 from anyone", "8081 from namespace englog-system or namespace monitoring"}, []string{"53+53+5353+5353 to anyone", "8080 to pods api"}},
		{v1alpha1.NetworkPolicyStrict, v1alpha1.API,
			[]string{"8080 from pods frontend or pods check or namespace englog-system", "8081 from namespace englog-system or namespace monitoring"},
			[]string{"53+53+5353+5353 to anyone", "5432 to pods database", "6379 to pods cache"}},
		{v1alpha1.NetworkPolicyStrict, v1alpha1.Frontend,
			[]string{"8080 from pods check or namespace englog-system", "8081 from namespace englog-system or namespace monitoring"},
			[]string{"53+53+5353+5353 to anyone", "8080 to pods api"}},
	} {
		t.Run(fmt.Sprintf("X51 %s %s", c.mode, c.component), func(t *testing.T) {
			in := load(t, "development")
			in.Spec.NetworkPolicy.Mode = c.mode
			spec := policySpec(in, c.component)
			ingress, egress := summarize(spec)
			if got, want := strings.Join(ingress, "\n"), strings.Join(c.in, "\n"); got != want {
				t.Errorf("ingress: got\n%s\nwant\n%s", got, want)
			}
			if got, want := strings.Join(egress, "\n"), strings.Join(c.out, "\n"); got != want {
				t.Errorf("egress: got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// An operator outside of the cluster comes from an address that no policy can name.
func TestAdminPortIsOpenToAnOperatorOutside(t *testing.T) {
	in := load(t, "development")
	in.Cluster.OperatorNamespace = ""
	ingress, _ := summarize(policySpec(in, v1alpha1.Worker))
	if len(ingress) != 1 || ingress[0] != "8081 from anyone" {
		t.Errorf("got %v", ingress)
	}
}

func TestNetworkPolicyDisabled(t *testing.T) {
	in := load(t, "development")
	in.Spec.NetworkPolicy.Mode = v1alpha1.NetworkPolicyDisabled
	for _, e := range ensures(in) {
		for _, o := range mustRender(t, in, e) {
			if kindOf(t, o) == "NetworkPolicy" {
				t.Errorf("%s renders a NetworkPolicy", e)
			}
		}
	}
}
