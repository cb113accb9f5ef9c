package policies

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Table is the name of the nftables table that holds all rules.
const Table = "network-policies"

// direction of traffic, as seen from the pod that a policy selects.
type direction struct {
	policyType string
	prefix     string // of chains
	far        string // the field with the other side's address
}

var (
	ingress = direction{"Ingress", "to", "ip saddr"}
	egress  = direction{"Egress", "from", "ip daddr"}
)

// Ruleset is the text for `nft -f` that replaces the whole table in one step. Each pod that a policy isolates has a chain
// for the direction, which returns for what is allowed and drops the rest. Rules see pods' addresses and ports, not those
// of Services: kube-proxy has rewritten them by then. The node's own traffic to its pods passes none of it.
func Ruleset(policies []Policy, pods []Pod, namespaces []Namespace) string {
	w := world{policies: policies, pods: slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return !p.reachable() }), labels: map[string]map[string]string{}}
	for _, n := range namespaces {
		w.labels[n.Metadata.Name] = n.Metadata.Labels
	}
	var text strings.Builder
	fmt.Fprintf(&text, "table inet %s\ndelete table inet %s\ntable inet %s {\n", Table, Table, Table)
	for _, d := range []direction{ingress, egress} {
		w.write(&text, d)
	}
	text.WriteString(`	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		ip saddr vmap @from
		ip daddr vmap @to
	}
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		ip saddr vmap @from
	}
}
`)
	return text.String()
}

// world is what rules are made from.
type world struct {
	policies []Policy
	pods     []Pod                        // those that can be reached
	labels   map[string]map[string]string // of namespaces
}

// write writes the chains of a direction, and the map that leads to them by the pod's address.
func (w world) write(text *strings.Builder, d direction) {
	var elements []string
	for _, p := range w.pods {
		rules, isolated := w.rules(p, d)
		if !isolated {
			continue
		}
		chain := d.prefix + "_" + strings.ReplaceAll(p.Status.PodIP, ".", "_")
		fmt.Fprintf(text, "\tchain %s { # %s/%s\n", chain, p.Metadata.Namespace, p.Metadata.Name)
		for _, r := range append(rules, d.far+" "+p.Status.PodIP+" return") { // nobody is kept from itself
			fmt.Fprintf(text, "\t\t%s\n", r)
		}
		text.WriteString("\t\tcounter drop\n\t}\n")
		elements = append(elements, p.Status.PodIP+" : jump "+chain)
	}
	fmt.Fprintf(text, "\tmap %s {\n\t\ttype ipv4_addr : verdict\n", d.prefix)
	if len(elements) > 0 {
		fmt.Fprintf(text, "\t\telements = { %s }\n", strings.Join(elements, ", "))
	}
	text.WriteString("\t}\n")
}

// rules are what all policies together allow a pod; isolated is false when no policy is about it.
func (w world) rules(p Pod, d direction) (rules []string, isolated bool) {
	for _, policy := range w.policies {
		if policy.Metadata.Namespace != p.Metadata.Namespace || !policy.covers(d) || !policy.Spec.PodSelector.matches(p.Metadata.Labels) {
			continue
		}
		isolated = true
		list := policy.Spec.Ingress
		if d == egress {
			list = policy.Spec.Egress
		}
		for _, r := range list {
			for _, allowed := range w.allowed(p, r, d) {
				if allowed += " return"; !slices.Contains(rules, strings.TrimSpace(allowed)) {
					rules = append(rules, strings.TrimSpace(allowed))
				}
			}
		}
	}
	return rules, isolated
}

// allowed is one match for each pair of a peer and a port; an empty match is everything.
func (w world) allowed(p Pod, r rule, d direction) []string {
	peers := r.From
	if d == egress {
		peers = r.To
	}
	var all []string
	for _, ports := range r.Ports {
		all = append(all, w.throughPort(p, peers, ports, d)...)
	}
	if len(r.Ports) == 0 {
		all = w.sides(p, peers, d)
	}
	return all
}

func (w world) throughPort(p Pod, peers []peer, on port, d direction) []string {
	protocol := strings.ToLower(on.Protocol)
	if protocol == "" {
		protocol = "tcp"
	}
	var number int
	var name string
	switch {
	case len(on.Port) == 0:
		return each(w.sides(p, peers, d), "meta l4proto "+protocol)
	case json.Unmarshal(on.Port, &number) == nil:
		text := strconv.Itoa(number)
		if on.EndPort > number {
			text += "-" + strconv.Itoa(on.EndPort)
		}
		return each(w.sides(p, peers, d), protocol+" dport "+text)
	case json.Unmarshal(on.Port, &name) != nil:
		return nil
	}
	if d == ingress {
		if number, has := p.port(name, strings.ToUpper(protocol)); has {
			return each(w.sides(p, peers, d), protocol+" dport "+strconv.Itoa(number))
		}
		return nil
	}
	var all []string
	for _, other := range w.selected(p, peers) {
		if number, has := other.port(name, strings.ToUpper(protocol)); has { // a name means what it means at the other side
			all = append(all, fmt.Sprintf("ip daddr %s %s dport %d", other.Status.PodIP, protocol, number))
		}
	}
	return all
}

// each adds a condition to each match.
func each(matches []string, condition string) []string {
	var all []string
	for _, m := range matches {
		all = append(all, strings.TrimSpace(m+" "+condition))
	}
	return all
}

// sides are matches of the other side: everybody if the rule names nobody.
func (w world) sides(p Pod, peers []peer, d direction) []string {
	if len(peers) == 0 {
		return []string{""}
	}
	var all, addresses []string
	for _, one := range peers {
		if one.IPBlock != nil {
			if match, ok := block(d.far, one.IPBlock.CIDR, one.IPBlock.Except); ok {
				all = append(all, match)
			}
		}
	}
	for _, other := range w.selected(p, peers) {
		addresses = append(addresses, other.Status.PodIP)
	}
	if len(addresses) > 0 {
		all = append(all, d.far+" { "+strings.Join(addresses, ", ")+" }")
	}
	return all
}

// block matches a range of addresses without its exceptions. This network has no IPv6, so such a range matches nobody.
func block(field, cidr string, except []string) (string, bool) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil || !prefix.Addr().Is4() {
		return "", false
	}
	match := field + " " + prefix.Masked().String()
	if len(except) > 0 {
		match += " " + field + " != { " + strings.Join(except, ", ") + " }"
	}
	return match, true
}

// selected are the pods that peers select: in the policy's own namespace, unless they select namespaces. No peers select
// all pods.
func (w world) selected(p Pod, peers []peer) []Pod {
	var all []Pod
	for _, other := range w.pods {
		if len(peers) == 0 || slices.ContainsFunc(peers, func(one peer) bool { return w.selects(one, p.Metadata.Namespace, other) }) {
			all = append(all, other)
		}
	}
	return all
}

func (w world) selects(one peer, namespace string, other Pod) bool {
	switch {
	case one.PodSelector == nil && one.NamespaceSelector == nil:
		return false
	case one.NamespaceSelector == nil && other.Metadata.Namespace != namespace:
		return false
	case one.NamespaceSelector != nil && !one.NamespaceSelector.matches(w.labels[other.Metadata.Namespace]):
		return false
	}
	return one.PodSelector == nil || one.PodSelector.matches(other.Metadata.Labels)
}
