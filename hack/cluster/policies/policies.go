// Package policies enforces NetworkPolicies on the node with nftables, which the bridge plugin does not. It watches
// policies, pods and namespaces, and replaces a table of rules when they change: established connections go on, a pod
// that a policy selects is closed in its direction but for what is allowed, and the node itself reaches each pod, as the
// kubelet's probes need. It must import nothing of the operator or the service.
package policies

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// Serve enforces policies in the network namespace that it runs in, until the context ends. The rules that are in force
// can be read at its address.
func Serve(ctx context.Context, c *local.Cluster) error {
	var inForce atomic.Pointer[string]
	go newEnforcer(ctx, c).run(ctx, &inForce)
	return local.Serve(ctx, local.PoliciesAddress, func() (string, bool) {
		text := inForce.Load()
		if text == nil {
			return "", false
		}
		return *text, true
	})
}

type enforcer struct {
	changed    chan struct{}
	policies   *local.Mirror[Policy]
	pods       *local.Mirror[Pod]
	namespaces *local.Mirror[Namespace]
}

func newEnforcer(ctx context.Context, c *local.Cluster) *enforcer {
	changed := make(chan struct{}, 1)
	return &enforcer{
		changed:    changed,
		policies:   local.NewMirror[Policy](ctx, c, "/apis/networking.k8s.io/v1/networkpolicies", changed),
		pods:       local.NewMirror[Pod](ctx, c, "/api/v1/pods", changed),
		namespaces: local.NewMirror[Namespace](ctx, c, "/api/v1/namespaces", changed),
	}
}

// coalesce is how long changes are gathered: a rollout changes a pod many times a second.
const coalesce = 20 * time.Millisecond

func (e *enforcer) run(ctx context.Context, inForce *atomic.Pointer[string]) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.changed:
		case <-time.After(5 * time.Second): // what failed is tried again
		}
		time.Sleep(coalesce)
		text, known := e.ruleset()
		if last := inForce.Load(); !known || last != nil && *last == text {
			continue
		}
		if err := load(ctx, text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		inForce.Store(&text)
	}
}

// ruleset is what the cluster asks for now; unknown until everything was listed.
func (e *enforcer) ruleset() (text string, known bool) {
	policies, known := e.policies.Objects()
	pods, all := e.pods.Objects()
	namespaces, whole := e.namespaces.Objects()
	return Ruleset(policies, pods, namespaces), known && all && whole
}

func load(ctx context.Context, text string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %.500s", err, out)
	}
	return nil
}
