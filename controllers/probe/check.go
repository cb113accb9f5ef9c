package probe

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// check is one probe that runs. Its changing fields are guarded by the runner's lock.
type check struct {
	runner *Runner
	key    types.NamespacedName

	probe   plan.Probe
	finding world.Finding
	// edition grows when the targets change: a try of an earlier edition is not counted.
	edition int
	// begun is when the first try was made.
	begun time.Time
	// ctx ends when the check is stopped; it and the others are nil before the start.
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer
}

func (c *check) start(ctx context.Context) {
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.arm(c.probe.Delay)
}

func (c *check) arm(after time.Duration) { c.timer = time.AfterFunc(max(after, 0), c.fire) }

func (c *check) stop() {
	if c.cancel != nil {
		c.cancel()
		c.timer.Stop()
	}
}

// update takes the probe as it is listed now.
func (c *check) update(p plan.Probe) {
	changed := !sameAddresses(c.probe.Targets, p.Targets) || c.probe.Revision != p.Revision
	c.probe = withDefaults(p)
	if !changed || c.finding.Result == v1alpha1.CheckFailed {
		return
	}
	c.edition++
	c.finding.Successes = 0
	if c.finding.Result == v1alpha1.CheckPassed {
		c.finding.Result, c.finding.Message = v1alpha1.CheckRunning, "the pods have changed; asking them again"
	}
}

func sameAddresses(a, b []plan.Address) bool {
	return slices.Equal(sorted(a), sorted(b))
}

func sorted(list []plan.Address) []plan.Address {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b plan.Address) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Host, b.Host), cmp.Compare(a.IP, b.IP))
	})
	return list
}

// fire makes one try and arms the next.
func (c *check) fire() {
	probe, edition, ok := c.begin()
	if !ok {
		return
	}
	defer c.runner.underWay.Done()
	started := time.Now()
	o := c.runner.try(c.ctx, c.key.Namespace, probe)
	if c.end(o, edition, started) {
		c.runner.options.Wake(c.key)
	}
}

func (c *check) begin() (plan.Probe, int, bool) {
	c.runner.mu.Lock()
	defer c.runner.mu.Unlock()
	if c.ctx.Err() != nil {
		return plan.Probe{}, 0, false
	}
	c.runner.underWay.Add(1)
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	return c.probe, c.edition, true
}

// proxyLag is how long kube-proxy may take until a Service leads to endpoints that the API server already lists: it applies changes at most
// once a second (minSyncPeriod), and refuses connections until then.
const proxyLag = 2 * time.Second

// weigh makes a miss of a Service a failure, unless nothing has been heard of it yet and the proxy may not know its pods.
func (c *check) weigh(o outcome) outcome {
	if o.verdict != missed {
		return o
	}
	o.verdict = failed
	if f := c.finding; f.Successes+f.Failures == 0 && time.Since(c.begun) < proxyLag {
		o.verdict = pending
	}
	return o
}

// end counts a try and says whether the result has changed.
func (c *check) end(o outcome, edition int, started time.Time) bool {
	c.runner.mu.Lock()
	defer c.runner.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	if edition != c.edition {
		c.arm(0)
		return false
	}
	before := c.finding.Result
	c.finding = tally(c.finding, c.probe, c.weigh(o))
	c.finding.At = c.runner.options.Now()
	if c.finding.Result != v1alpha1.CheckFailed { // a failed check is final
		c.arm(max(c.probe.Interval-time.Since(started), c.probe.Interval/10))
	}
	return c.finding.Result != before
}
