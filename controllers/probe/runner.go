// Package probe runs the checks that a plan asks for, outside of reconciles, and tells pods of a color that was switched away. It keeps
// what it learned in memory: after a restart every check starts again, which makes a rollout later, never less safe.
//
// It decides nothing about rollouts and must never import a Kubernetes client beyond the REST configuration it needs to reach pods from
// outside a cluster, nor observe, apply or report.
package probe

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// What a probe without numbers of its own gets.
const (
	defaultInterval = time.Second
	defaultTimeout  = 2 * time.Second
)

// maxAsks bounds the requests under way for all instances together: an operator of a thousand instances must not run out of sockets
// because one cluster network drops packets.
const maxAsks = 128

// Options say how a Runner reaches the world.
type Options struct {
	// Ask carries requests to pods, Services and hosts; Direct when nil.
	Ask Asker
	// Prometheus is the base address of the server that query checks ask, such as http://prometheus.monitoring:9090. It is the operator's
	// flag, never the tenant's. While it is empty such checks are inconclusive.
	Prometheus string
	// Wake asks for a reconcile of an instance. It is called when the result of a check has changed, never while a lock is held.
	Wake func(types.NamespacedName)
}

// Runner runs the checks of all instances. At rest it holds no goroutine: the time between two tries is a timer.
type Runner struct {
	options  Options
	ctx      context.Context
	asks     chan struct{}
	notices  *noticeBoard
	mu       sync.Mutex
	checks   map[types.NamespacedName]map[string]*check
	underWay sync.WaitGroup
}

// New returns a Runner that works until the context ends.
func New(ctx context.Context, o Options) *Runner {
	if o.Ask == nil {
		o.Ask = Direct{}
	}
	if o.Wake == nil {
		o.Wake = func(types.NamespacedName) {}
	}
	r := &Runner{options: o, ctx: ctx, asks: make(chan struct{}, maxAsks), checks: map[types.NamespacedName]map[string]*check{}}
	r.notices = newNoticeBoard(ctx, o.Ask, &r.underWay)
	context.AfterFunc(ctx, r.stopAll)
	return r
}

// Sync makes the running checks of an instance those that are listed, by ID: new ones start after their delay, those no longer listed
// stop and are forgotten. A check whose targets have changed starts to count its successes again and keeps its failures.
func (r *Runner) Sync(key types.NamespacedName, probes []plan.Probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	running, wanted := r.checks[key], make(map[string]*check, len(probes))
	for _, p := range probes {
		c := running[p.ID]
		if c == nil {
			c = r.start(key, p)
		} else {
			c.update(p)
		}
		wanted[p.ID] = c
	}
	for id, c := range running {
		if wanted[id] == nil {
			c.stop()
		}
	}
	r.keep(key, wanted)
}

func (r *Runner) keep(key types.NamespacedName, wanted map[string]*check) {
	if len(wanted) == 0 {
		delete(r.checks, key)
		return
	}
	r.checks[key] = wanted
}

// Findings returns what is known about the running checks of an instance, by ID.
func (r *Runner) Findings(key types.NamespacedName) map[string]world.Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	findings := make(map[string]world.Finding, len(r.checks[key]))
	for id, c := range r.checks[key] {
		findings[id] = c.finding
	}
	return findings
}

// Notify tells pods whether they are retired, each once per state; see Notice. It returns at once.
func (r *Runner) Notify(key types.NamespacedName, notices []plan.Notice) { r.notices.post(key, notices) }

// Forget drops everything about an instance that is gone.
func (r *Runner) Forget(key types.NamespacedName) {
	r.Sync(key, nil)
	r.Notify(key, nil)
}

// Wait returns when nothing is under way any more. It is of use after the context has ended.
func (r *Runner) Wait() { r.underWay.Wait() }

func (r *Runner) stopAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, checks := range r.checks {
		for _, c := range checks {
			c.stop()
		}
		delete(r.checks, key)
	}
}

// start is called with the lock held.
func (r *Runner) start(key types.NamespacedName, p plan.Probe) *check {
	c := &check{runner: r, key: key, probe: withDefaults(p), finding: world.Finding{Result: v1alpha1.CheckRunning}}
	c.ctx, c.cancel = context.WithCancel(r.ctx)
	c.arm(p.Delay)
	return c
}

func withDefaults(p plan.Probe) plan.Probe {
	if p.Interval <= 0 {
		p.Interval = defaultInterval
	}
	if p.Timeout <= 0 {
		p.Timeout = defaultTimeout
	}
	p.Successes = max(p.Successes, 1)
	return p
}

// ask carries one request, within the bound of all requests and the timeout of the probe.
func (r *Runner) ask(ctx context.Context, timeout time.Duration, do func(context.Context) (Answer, error)) (Answer, error) {
	select {
	case r.asks <- struct{}{}:
		defer func() { <-r.asks }()
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}
