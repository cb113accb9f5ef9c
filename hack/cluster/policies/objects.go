package policies

import (
	"encoding/json"
	"slices"
)

// What is read of the objects. The field names are Kubernetes'.

type meta struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
}

// Namespace is what policies select namespaces by.
type Namespace struct {
	Metadata meta `json:"metadata"`
}

// Pod is what policies select pods by, and where it is reached.
type Pod struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		HostNetwork bool `json:"hostNetwork"`
		Containers  []struct {
			Ports []struct {
				Name          string `json:"name"`
				ContainerPort int    `json:"containerPort"`
				Protocol      string `json:"protocol"`
			} `json:"ports"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

// reachable is false for pods without an address of their own: an ended pod's may already be another's.
func (p Pod) reachable() bool {
	return p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed"
}

// port finds a named port.
func (p Pod) port(name, protocol string) (int, bool) {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == "TCP") {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}

// Policy is a NetworkPolicy.
type Policy struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodSelector selector `json:"podSelector"`
		PolicyTypes []string `json:"policyTypes"`
		Ingress     []rule   `json:"ingress"`
		Egress      []rule   `json:"egress"`
	} `json:"spec"`
}

// covers says whether the policy isolates its pods in a direction. Without types, that is Ingress, and Egress if it has rules.
func (p Policy) covers(d direction) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, d.policyType)
	}
	return d == ingress || len(p.Spec.Egress) > 0
}

// rule has its peers under from or to.
type rule struct {
	Ports []port `json:"ports"`
	From  []peer `json:"from"`
	To    []peer `json:"to"`
}

type port struct {
	Protocol string          `json:"protocol"`
	Port     json.RawMessage `json:"port"` // a number, a name in quotes, or nothing
	EndPort  int             `json:"endPort"`
}

type peer struct {
	PodSelector       *selector `json:"podSelector"`
	NamespaceSelector *selector `json:"namespaceSelector"`
	IPBlock           *struct {
		CIDR   string   `json:"cidr"`
		Except []string `json:"except"`
	} `json:"ipBlock"`
}

type selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

func (s selector) matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		value, has := labels[e.Key]
		holds := false
		switch e.Operator {
		case "In":
			holds = has && slices.Contains(e.Values, value)
		case "NotIn":
			holds = !has || !slices.Contains(e.Values, value)
		case "Exists":
			holds = has
		case "DoesNotExist":
			holds = !has
		}
		if !holds {
			return false
		}
	}
	return true
}
