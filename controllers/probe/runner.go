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
	"k8s.io/client-go/rest"

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
	// Prometheus is the base address of the server that query checks ask, such as http://prometheus.monitoring:9090. It is the operator's
	// flag, never the tenant's. While it is empty such checks are inconclusive.
	Prometheus string
	// Proxy is true outside of the cluster: pods and Services are asked through the API server of Config.
	Proxy  bool
	Config *rest.Config
	// Ask replaces the way requests are carried, for tests.
	Ask Asker
	// Wake asks for a reconcile of an instance. It is called when the result of a check has changed, never while a lock is held.
	Wake func(types.NamespacedName)
	// Now is the clock that findings are stamped with; time.Now by default.
	Now func() time.Time
}

// Runner runs the checks of all instances. Between two tries a check is a timer, not a goroutine.
type Runner struct {
	options  Options
	asks     chan struct{}
	notices  *noticeBoard
	underWay sync.WaitGroup

	mu sync.Mutex
	// ctx is the context of Start; nil before.
	ctx    context.Context
	checks map[types.NamespacedName]map[string]*check
}

// New returns a Runner that begins to work when it is started.
func New(o Options) (*Runner, error) {
	if o.Ask == nil {
		o.Ask = Direct{}
		if o.Proxy {
			proxied, err := NewProxied(o.Config)
			if err != nil {
				return nil, err
			}
			o.Ask = proxied
		}
	}
	if o.Wake == nil {
		o.Wake = func(types.NamespacedName) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Runner{options: o, asks: make(chan struct{}, maxAsks), checks: map[types.NamespacedName]map[string]*check{}}
	r.notices = newNoticeBoard(o.Ask, &r.underWay)
	return r, nil
}

// Start works until the context ends and nothing is under way any more. What was asked for before begins now.
func (r *Runner) Start(ctx context.Context) error {
	r.notices.start(ctx)
	r.begin(ctx)
	<-ctx.Done()
	r.stopAll()
	r.notices.stop()
	r.underWay.Wait()
	return nil
}

func (r *Runner) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
	for _, checks := range r.checks {
		for _, c := range checks {
			c.start(ctx)
		}
	}
}

// Sync makes the running checks of an instance those that are listed, by ID: new ones start after their delay, those no longer listed
// stop and are forgotten. A check whose targets have changed starts to count its successes again and keeps its failures.
func (r *Runner) Sync(key types.NamespacedName, probes []plan.Probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	running, wanted := r.checks[key], make(map[string]*check, len(probes))
	for _, p := range probes {
		c := running[p.ID]
		if c == nil {
			c = r.add(key, p)
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

// add is called with the lock held.
func (r *Runner) add(key types.NamespacedName, p plan.Probe) *check {
	c := &check{runner: r, key: key, probe: withDefaults(p), finding: world.Finding{Result: v1alpha1.CheckRunning}}
	if r.ctx != nil {
		c.start(r.ctx)
	}
	return c
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

// Notify tells pods whether they are retired: each once per state, in a few quick tries, after which a pod that does not listen is left
// alone. It returns at once.
func (r *Runner) Notify(key types.NamespacedName, notices []plan.Notice) {
	r.notices.post(key, notices)
}

// Forget drops everything about an instance that is gone.
func (r *Runner) Forget(key types.NamespacedName) {
	r.Sync(key, nil)
	r.Notify(key, nil)
}

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
