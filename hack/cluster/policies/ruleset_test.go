package policies

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// shop is a small cluster: a web and a database in shop, somebody in lab, and pods that have no address of their own.
const shop = `[
{"metadata":{"namespace":"shop","name":"web","labels":{"app":"web"}},"spec":{"containers":[{"ports":[{"name":"http","containerPort":8080}]}]},"status":{"phase":"Running","podIP":"10.244.0.2"}},
{"metadata":{"namespace":"shop","name":"db","labels":{"app":"db"}},"spec":{"containers":[{"ports":[{"name":"sql","containerPort":5432,"protocol":"TCP"}]}]},"status":{"phase":"Running","podIP":"10.244.0.3"}},
{"metadata":{"namespace":"lab","name":"x","labels":{"app":"web"}},"spec":{},"status":{"phase":"Running","podIP":"10.244.0.4"}},
{"metadata":{"namespace":"shop","name":"job","labels":{"app":"web"}},"spec":{},"status":{"phase":"Succeeded","podIP":"10.244.0.9"}},
{"metadata":{"namespace":"shop","name":"agent","labels":{"app":"web"}},"spec":{"hostNetwork":true},"status":{"phase":"Running","podIP":"10.88.0.1"}}]`

const spaces = `[{"metadata":{"name":"shop","labels":{"team":"a"}}},{"metadata":{"name":"lab","labels":{"team":"b"}}}]`

func read[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// ruled gives the rules of one chain, apart from its end.
func ruled(t *testing.T, ruleset, chain string) (string, bool) {
	t.Helper()
	_, text, found := strings.Cut(ruleset, "chain "+chain+" {")
	if !found {
		return "", false
	}
	text, _, _ = strings.Cut(text, "\t}\n")
	_, text, _ = strings.Cut(text, "\n")
	var rules []string
	for line := range strings.Lines(text) {
		rules = append(rules, strings.TrimSpace(line))
	}
	n := len(rules)
	if n < 2 || rules[n-1] != "counter drop" || !strings.HasSuffix(rules[n-2], " return") {
		t.Errorf("%s ends in %v: want its own address and a drop", chain, rules)
	}
	return strings.Join(rules[:max(n-2, 0)], "; "), true
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name, spec, chain, want string
	}{
		{"default deny", `{"podSelector":{}}`, "to_10_244_0_2", ""},
		{"everybody on one port", `{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":8080}]}]}`, "to_10_244_0_2", "tcp dport 8080 return"},
		{"a named port and a range", `{"podSelector":{},"ingress":[{"ports":[{"port":"http"},{"protocol":"UDP","port":1000,"endPort":2000},{"protocol":"SCTP"}]}]}`,
			"to_10_244_0_2", "tcp dport 8080 return; udp dport 1000-2000 return; meta l4proto sctp return"},
		{"a port that the pod does not name", `{"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`, "to_10_244_0_3", ""},
		{"pods of the same namespace, not ended ones", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}`,
			"to_10_244_0_3", "ip saddr { 10.244.0.2 } return"},
		{"another namespace", `{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"team":"b"}}}]}]}`, "to_10_244_0_2", "ip saddr { 10.244.0.4 } return"},
		{"pods of all namespaces", `{"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"web"}}}]}]}`,
			"to_10_244_0_3", "ip saddr { 10.244.0.2, 10.244.0.4 } return"},
		{"peers that nobody is", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"none"}}}]}]}`, "to_10_244_0_2", ""},
		{"expressions", `{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["db"]},{"key":"x","operator":"DoesNotExist"},{"key":"app","operator":"NotIn","values":["web"]},{"key":"app","operator":"Exists"}]}}`,
			"to_10_244_0_3", ""},
		{"blocks with exceptions, and no IPv6", `{"podSelector":{},"policyTypes":["Egress"],"egress":[{"ports":[{"port":443}],"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.0.0/16"]}},{"ipBlock":{"cidr":"::/0"}}]}]}`,
			"from_10_244_0_2", "ip daddr 0.0.0.0/0 ip daddr != { 169.254.0.0/16 } tcp dport 443 return"},
		{"a name means the other side's port", `{"podSelector":{"matchLabels":{"app":"web"}},"egress":[{"ports":[{"port":"sql"}],"to":[{"podSelector":{}}]}]}`,
			"from_10_244_0_2", "ip daddr 10.244.0.3 tcp dport 5432 return"},
		{"all", `{"podSelector":{},"ingress":[{}]}`, "to_10_244_0_2", "return"},
	} {
		t.Run(c.name, func(t *testing.T) {
			policies := read[[]Policy](t, `[{"metadata":{"namespace":"shop","name":"p"},"spec":`+c.spec+`}]`)
			text := Ruleset(policies, read[[]Pod](t, shop), read[[]Namespace](t, spaces))
			if got, found := ruled(t, text, c.chain); !found || got != c.want {
				t.Errorf("%s: got %q (found: %v), want %q", c.chain, got, found, c.want)
			}
			loads(t, text)
		})
	}
}

func TestWhoIsNotIsolated(t *testing.T) {
	for spec, open := range map[string]string{
		`{"podSelector":{}}`:                                 "from_10_244_0_2 to_10_244_0_4 to_10_244_0_9 to_10_88_0_1",
		`{"podSelector":{},"policyTypes":["Egress"]}`:        "to_10_244_0_2 from_10_244_0_4",
		`{"podSelector":{"matchLabels":{"app":"db"}}}`:       "to_10_244_0_2",
		`{"podSelector":{"matchLabels":{"app":"shop/web"}}}`: "to_10_244_0_2 to_10_244_0_3",
	} {
		text := Ruleset(read[[]Policy](t, `[{"metadata":{"namespace":"shop","name":"p"},"spec":`+spec+`}]`), read[[]Pod](t, shop), read[[]Namespace](t, spaces))
		for _, chain := range strings.Fields(open) {
			if rules, found := ruled(t, text, chain); found {
				t.Errorf("%s: %s is isolated: %s", spec, chain, rules)
			}
		}
	}
}

func TestPoliciesAddUp(t *testing.T) {
	text := Ruleset(read[[]Policy](t, `[
{"metadata":{"namespace":"shop","name":"a"},"spec":{"podSelector":{}}},
{"metadata":{"namespace":"shop","name":"b"},"spec":{"podSelector":{},"ingress":[{"ports":[{"port":80}]}]}},
{"metadata":{"namespace":"lab","name":"c"},"spec":{"podSelector":{},"ingress":[{"ports":[{"port":81}]}]}},
{"metadata":{"namespace":"shop","name":"d"},"spec":{"podSelector":{},"ingress":[{"ports":[{"port":80},{"port":82}]}]}}]`), read[[]Pod](t, shop), read[[]Namespace](t, spaces))
	if got, _ := ruled(t, text, "to_10_244_0_2"); got != "tcp dport 80 return; tcp dport 82 return" {
		t.Errorf("got %q", got)
	}
}

func TestNoPoliciesNoChains(t *testing.T) {
	text := Ruleset(nil, read[[]Pod](t, shop), nil)
	if strings.Contains(text, "drop") {
		t.Errorf("something is dropped:\n%s", text)
	}
	loads(t, text)
}

// loads tries the rules in a network namespace of their own, twice: the second time replaces the first.
func loads(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		return
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-ec", `printf '%s' "$1" | nft -f -; printf '%s' "$1" | nft -f -; nft list tables`, "sh", text)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), Table) != 1 {
		t.Errorf("nft: %v: %s\n%s", err, out, text)
	}
}
