package model

import (
	"fmt"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Violation is a broken invariant.
type Violation struct {
	Invariant string
	Message   string
}

func (v *Violation) Error() string { return v.Invariant + ": " + v.Message }

func broken(invariant, format string, args ...any) error {
	return &Violation{Invariant: invariant, Message: fmt.Sprintf(format, args...)}
}

// Watcher checks the invariants of one schedule. Each method returns the first that is broken.
type Watcher struct {
	moved map[string]int
	last  *v1alpha1.EngLogInstanceStatus
}

// NewWatcher returns a watcher for a new schedule.
func NewWatcher() *Watcher { return &Watcher{moved: map[string]int{}} }

// Written judges a write that changed the cluster, against what its author had seen.
func (x *Watcher) Written(c *Cluster, seen *world.World, w plan.Write, before Route) error {
	switch w := w.(type) {
	case plan.Ensure:
		return x.ensured(c, seen, w, before)
	case plan.Scale:
		return x.scaled(c, seen, w)
	default:
		return nil
	}
}

func (x *Watcher) ensured(c *Cluster, seen *world.World, e plan.Ensure, before Route) error {
	switch e.Kind {
	case plan.LiveService:
		if before.Color != "" && before.Color != e.Color || before.Color == "" {
			return x.routeMoved(seen, e, before)
		}
	case plan.Job:
		return oneMigration(c)
	case plan.Deployment:
		r := c.Routes[e.Component]
		if r != nil && r.Color == e.Color && r.Revision != e.Revision && leads(c, seen, r) {
			return broken("I2", "the template of %s in %s was replaced by %s while the live route leads to %s", e.Component, e.Color, e.Revision, r.Revision)
		}
	default:
	}
	return nil
}

// leads is true when the route is where the status says that it belongs; one that a person has moved is not.
func leads(c *Cluster, seen *world.World, r *Route) bool {
	a := c.Instance.Status.Active
	return a != nil && a.Color == r.Color && a.Revision == r.Revision && seen.Instance.Status.Active != nil
}

// routeMoved checks I1 (only to a color that was seen to be up) and I4 (once per epoch).
func (x *Watcher) routeMoved(seen *world.World, e plan.Ensure, before Route) error {
	slot := world.Slot{Component: e.Component, Color: e.Color}
	required := int32(1)
	if r := seen.Instance.Status.Rollout; r != nil && r.Floor != nil && (r.Step == v1alpha1.StepSwitching || r.Step == v1alpha1.StepRollingBack) {
		required = max(1, floorOf(r.Floor, e.Component))
	}
	if ready := seen.Workloads[slot].Ready(e.Revision); ready < required {
		return broken("I1", "traffic of %s moved to %s %s with %d of %d ready", e.Component, e.Color, e.Revision, ready, required)
	}
	if before.Color == "" {
		return nil
	}
	key := fmt.Sprintf("%s/%d", e.Component, e.Epoch)
	if x.moved[key]++; x.moved[key] > 1 {
		return broken("I4", "the route of %s changed its color twice in epoch %d", e.Component, e.Epoch)
	}
	if e.Epoch <= before.Epoch {
		return broken("I4", "the route of %s moved with epoch %d after %d", e.Component, e.Epoch, before.Epoch)
	}
	return nil
}

func floorOf(f *v1alpha1.CapacityFloor, c v1alpha1.ComponentName) int32 {
	switch c {
	case v1alpha1.API:
		return f.API
	case v1alpha1.Frontend:
		return f.Frontend
	default:
		return f.Worker
	}
}

func oneMigration(c *Cluster) error {
	running := map[string]bool{}
	for _, j := range c.Jobs {
		if j.Component == "migrate" && j.Phase == world.JobActive {
			running[j.Revision] = true
		}
	}
	if len(running) > 1 {
		return broken("I3", "migrations of %d revisions run at once", len(running))
	}
	return nil
}

// scaled checks I2: what users reach, or may have to go back to, is not taken down.
func (x *Watcher) scaled(c *Cluster, seen *world.World, s plan.Scale) error {
	if s.Replicas > 0 || c.Instance.Spec.Activity == v1alpha1.ActivityHibernated {
		return nil
	}
	d, r := c.Deployments[s.Slot], c.Routes[s.Slot.Component]
	if r != nil && r.Color == s.Slot.Color && r.Revision == d.Revision {
		return broken("I2", "%v was scaled to zero while its route leads there", s.Slot)
	}
	p := c.Instance.Status.Previous
	if p == nil || p.Color != s.Slot.Color || s.Slot.Component == v1alpha1.Worker || p.RetainedUntil == nil {
		return nil
	}
	superseded := seen.Target.Revision != c.Instance.Status.Rollout.ToRevision
	if c.Now.Before(p.RetainedUntil.Time) && !superseded && c.Instance.Status.Rollout.Step == v1alpha1.StepRetaining {
		return broken("I2", "%v was scaled to zero before its retention ended", s.Slot)
	}
	return nil
}

// Persisted checks I8: no timer of a step becomes shorter, whatever died in between.
func (x *Watcher) Persisted(now *v1alpha1.EngLogInstanceStatus) error {
	was := x.last
	x.last = now.DeepCopy()
	if was == nil || was.Rollout == nil || now.Rollout == nil || was.Rollout.ID != now.Rollout.ID || was.Rollout.Step != now.Rollout.Step {
		return nil
	}
	if a, b := was.Rollout, now.Rollout; a.Deadline != nil && (b.Deadline == nil || b.Deadline.Before(a.Deadline)) {
		return broken("I8", "the deadline of %s became shorter", b.Step)
	}
	if was.Previous != nil && now.Previous != nil && was.Previous.RetainedUntil != nil && now.Previous.Revision == was.Previous.Revision &&
		(now.Previous.RetainedUntil == nil || now.Previous.RetainedUntil.Before(was.Previous.RetainedUntil)) {
		return broken("I8", "the retention of %s became shorter", now.Previous.Revision)
	}
	if now.Rollout.Epoch < was.Rollout.Epoch {
		return broken("I4", "the epoch shrank from %d to %d", was.Rollout.Epoch, now.Rollout.Epoch)
	}
	return nil
}

// Rested checks what must hold when nothing moves any more: I6, the machine is at an end; I7, the status tells the truth about traffic; and
// users are served.
func (x *Watcher) Rested(c *Cluster, waits func(v1alpha1.Step) bool) error {
	status := &c.Instance.Status
	if step := stepOf(status); step != v1alpha1.StepStable && !waits(step) {
		return broken("I6", "came to rest in %s: %s", step, status.Rollout.Message)
	}
	if status.Active == nil {
		return nil
	}
	for _, component := range world.Routed {
		r := c.Routes[component]
		if r == nil || r.Color != status.Active.Color || r.Revision != status.Active.Revision {
			return broken("I7", "the status says %s %s, the route of %s says otherwise", status.Active.Color, status.Active.Revision, component)
		}
		d := c.Deployments[world.Slot{Component: component, Color: r.Color}]
		if c.Instance.Spec.Activity != v1alpha1.ActivityHibernated && (d == nil || endpoints(d, func(p Pod) bool { return p.Revision == r.Revision }).Ready[r.Revision] == 0) {
			return broken("I6", "nobody serves %s", component)
		}
	}
	return nil
}
