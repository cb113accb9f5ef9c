package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Fault says what happens to one write.
type Fault string

// The faults of a write.
const (
	NoFault        Fault = "none"
	Fails          Fault = "fails"
	AnswerLost     Fault = "is made, its answer lost"
	DiesBefore     Fault = "process dies before it"
	DiesAfter      Fault = "process dies after it"
	RepeatedByPeer Fault = "overtaken leader repeats it"
)

// errDied ends a round without its status write.
var errDied = errors.New("the process died")

// Judge looks at a write that changed the cluster, against what its author had seen.
type Judge func(seen *world.World, w plan.Write, before Before) error

// Before is what a write found.
type Before struct {
	Route    service
	Weights  weights
	Workload deployment
	Author   author
}

// Hand is who carries a plan out, and how badly it goes.
type Hand struct {
	// Fault hits the write number At, counted over those that reach the API server; the status is one of them.
	Fault Fault
	At    int
	// Author is leader or overtaken.
	Author author
	// Judge sees each write that changed something; nil for none.
	Judge Judge
	// Told sees each status that was written, with the one before.
	Told func(round *Round, before *v1alpha1.EngLogInstanceStatus) error
	// Mutant, if any, falsifies the planner.
	Mutant *Mutant
	// Stale is true for a leader whose caches lag behind: what it does not know it is not blamed for.
	Stale bool
}

// Round is one reconcile: what was decided and what became of it.
type Round struct {
	World *world.World
	Plan  plan.Plan
	// Decided is when it was.
	Decided time.Time
	Step    v1alpha1.Step
	Changes []plan.Write
	// Hit is true when the fault met a write.
	Hit bool
	// Wrote is true when the status was written.
	Wrote bool

	made int
}

// Reconcile makes one round on what is seen now.
func (c *Cluster) Reconcile(h *Hand) (Round, error) {
	w := c.Observe()
	return c.act(memory{w, h.Mutant.next(w, c.Now), c.Now}, h)
}

// memory is a decision, and the world that it was made about.
type memory struct {
	world *world.World
	plan  plan.Plan
	at    time.Time
}

// act carries a plan out that was made for a world, which may be an old one.
func (c *Cluster) act(m memory, h *Hand) (Round, error) {
	round := Round{World: m.world, Step: stepOf(&m.world.Instance.Status), Plan: m.plan, Decided: m.at}
	if h.Author == leader {
		c.Watch(m.plan.Probes)
	}
	for _, write := range m.plan.Writes {
		stop, err := c.carryOut(&round, h, write)
		if err != nil {
			return round, err
		}
		if stop {
			break // what follows may depend on it; but what was decided is told
		}
	}
	return round, c.tell(&round, h)
}

// carryOut makes one write; stop is true when it failed for good.
func (c *Cluster) carryOut(round *Round, h *Hand, w plan.Write) (stop bool, err error) {
	if !c.effective(w) && h.Author == leader {
		return false, nil
	}
	fault := h.fault(round)
	switch fault {
	case DiesBefore:
		c.forget()
		return true, errDied
	case Fails:
		return true, nil
	default:
	}
	before := c.before(w)
	before.Author = h.Author
	if h.Stale {
		before.Author = overtaken
	}
	changed, err := c.Apply(w)
	if errors.Is(err, errConflict) {
		return true, errOvertaken
	}
	if err != nil {
		return true, nil //nolint:nilerr // it failed for good, and the status is told all the same
	}
	if changed {
		round.Changes = append(round.Changes, w)
		c.written = c.serial
		c.sign(w, h.Author, before)
		if h.Judge != nil {
			if err := h.Judge(round.World, w, before); err != nil {
				return true, err
			}
		}
	}
	if fault == DiesAfter {
		c.forget()
		return true, errDied
	}
	return fault == AnswerLost, nil
}

// errOvertaken ends a round whose decision was about a world that has moved on: it is made again.
var errOvertaken = errors.New("overtaken")

// fault is what happens to the write that is about to be made.
func (h *Hand) fault(round *Round) Fault {
	round.made++
	if h.Fault == "" || h.Fault == NoFault || round.Hit || round.made-1 != h.At {
		return NoFault
	}
	round.Hit = true
	return h.Fault
}

func (c *Cluster) before(w plan.Write) Before {
	switch w := w.(type) {
	case plan.Ensure:
		b := Before{}
		if w.Kind == plan.LiveService {
			b.Route = c.live[routeIndex(w.Component)]
		}
		if w.Kind == plan.Weights {
			b.Weights = c.weights[routeIndex(w.Component)]
		}
		if w.Kind == plan.Deployment || w.Kind == plan.Autoscaler {
			b.Workload = c.deployments[index(world.Slot{Component: w.Component, Color: w.Color})]
		}
		return b
	case plan.Scale:
		return Before{Workload: c.deployments[index(w.Slot)]}
	default:
		return Before{}
	}
}

// sign records who has moved a route, or made a Job.
func (c *Cluster) sign(w plan.Write, by author, before Before) {
	e, ok := w.(plan.Ensure)
	if ok && e.Kind == plan.Job && by == overtaken {
		j := c.jobs[plan.JobName(instanceName, e)]
		j.Identity.UID = madeByOvertaken
		c.setJob(j)
	}
	if ok && e.Kind == plan.Weights && !before.Weights.shows(e.Color) {
		c.weights[routeIndex(e.Component)].author = by
	}
	if !ok || e.Kind != plan.LiveService || before.Route.color == e.Color && before.Route.revision == e.Revision {
		return
	}
	c.live[routeIndex(e.Component)].author = by
}

// disown makes where users are a matter of nobody who knows: the status was lost, or written by a leader that had not seen the routes.
func (c *Cluster) disown() {
	for i := range c.live {
		c.live[i].author, c.weights[i].author = overtaken, overtaken
	}
}

const madeByOvertaken = "overtaken"

// tell writes the status, the last write of a round.
func (c *Cluster) tell(round *Round, h *Hand) error {
	before := &c.Instance.Status
	if sameStatus(&round.World.Instance.Status, &round.Plan.Status) {
		return nil
	}
	fault := h.fault(round)
	switch fault {
	case DiesBefore:
		c.forget()
		return errDied
	case Fails:
		return nil
	default:
	}
	wrote, err := c.Persist(round.World.Instance.ResourceVersion, round.Plan.Status)
	if err != nil {
		return nil //nolint:nilerr // somebody else was faster: the next round sees it
	}
	round.Wrote = wrote
	if wrote && h.Author == overtaken {
		c.disown()
	}
	if wrote && h.Told != nil {
		if err := h.Told(round, before); err != nil {
			return err
		}
	}
	if fault == DiesAfter {
		c.forget()
		return errDied
	}
	return nil
}

func stepOf(s *v1alpha1.EngLogInstanceStatus) v1alpha1.Step {
	if s.Rollout == nil {
		return v1alpha1.StepStable
	}
	return s.Rollout.Step
}

// passing is true for the errors that only end a round.
func passing(err error) bool { return errors.Is(err, errDied) || errors.Is(err, errOvertaken) }

// patience is how many rounds a rest may take. The longest straight path needs about 60.
const patience = 400

// Rest lets everything come to rest without faults: rounds, settling and timers in turn. It returns the last round and fails when that does
// not end.
func (c *Cluster) Rest(h *Hand, each func(*Round)) (Round, error) {
	for range patience {
		round, err := c.Reconcile(h)
		if err != nil && !passing(err) {
			return round, err
		}
		if each != nil {
			each(&round)
		}
		if err != nil || len(round.Changes) > 0 || round.Wrote || c.Settle() {
			continue
		}
		if round.Plan.Wake.IsZero() {
			return round, nil
		}
		c.Now = later(c.Now, round.Plan.Wake)
	}
	return Round{}, broken("I6", "no rest after %d rounds, in %s", patience, stepOf(&c.Instance.Status))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a.Add(time.Second)
}

// String names the round in a trace.
func (r *Round) String() string {
	return fmt.Sprintf("%s: %v → %s, holds %v", r.Step, r.Changes, stepOf(&r.Plan.Status), r.Plan.Holds)
}
