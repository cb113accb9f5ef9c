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
	DiesBefore     Fault = "the process dies before it"
	DiesAfter      Fault = "the process dies after it"
	RepeatedByPeer Fault = "an overtaken leader repeats it"
)

// errDied ends a round without its status write.
var errDied = errors.New("the process died")

// Judge looks at a write that changed the cluster; before is the route of its component as it was.
type Judge func(seen *world.World, w plan.Write, before Route) error

// Round is one reconcile: what was decided and what became of it.
type Round struct {
	World   *world.World
	Plan    plan.Plan
	Step    v1alpha1.Step
	Changes []plan.Write
}

// Reconcile makes one round on what is seen now. The fault, if any, hits the n-th write; the status write counts as the last one.
func (c *Cluster) Reconcile(n int, fault Fault, check Judge) (Round, error) {
	return c.act(c.Observe(), n, fault, check)
}

func (c *Cluster) act(w *world.World, n int, fault Fault, check Judge) (Round, error) {
	round := Round{World: w, Plan: plan.Next(w, c.Now), Step: stepOf(&w.Instance.Status)}
	c.Watch(round.Plan.Probes)
	for i, write := range round.Plan.Writes {
		if i == n && fault == DiesBefore {
			return round, errDied
		}
		if i == n && fault == Fails {
			return round, nil
		}
		before := c.routeBefore(write)
		changed, err := c.Apply(write)
		if err != nil {
			return round, nil //nolint:nilerr // a refused precondition ends the round, as in the operator
		}
		if changed {
			round.Changes = append(round.Changes, write)
			if err := check(w, write, before); err != nil {
				return round, err
			}
		}
		if i == n && fault == DiesAfter {
			return round, errDied
		}
	}
	return round, c.persist(w, &round, n-len(round.Plan.Writes), fault)
}

func (c *Cluster) routeBefore(w plan.Write) Route {
	if e, ok := w.(plan.Ensure); ok && c.Routes[e.Component] != nil {
		return *c.Routes[e.Component]
	}
	return Route{}
}

func (c *Cluster) persist(w *world.World, round *Round, n int, fault Fault) error {
	if n == 0 && (fault == DiesBefore || fault == Fails) {
		return errDied
	}
	// A conflict means that somebody else was faster: the next round sees it.
	_, _ = c.Persist(w.Instance.ResourceVersion, round.Plan.Status)
	return nil
}

func stepOf(s *v1alpha1.EngLogInstanceStatus) v1alpha1.Step {
	if s.Rollout == nil {
		return v1alpha1.StepStable
	}
	return s.Rollout.Step
}

// Rest lets everything come to rest without faults: rounds, settling and timers in turn. It fails when that does not end.
func (c *Cluster) Rest(check Judge) error {
	for range 400 {
		round, err := c.Reconcile(-1, NoFault, check)
		if err != nil {
			return err
		}
		moved := c.Settle()
		if len(round.Changes) > 0 || moved || !equalStatus(&round.World.Instance.Status, &c.Instance.Status) {
			continue
		}
		if round.Plan.Wake.IsZero() {
			return nil
		}
		c.Now = later(c.Now, round.Plan.Wake)
	}
	return fmt.Errorf("no rest after 400 rounds: step %s", stepOf(&c.Instance.Status))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a.Add(time.Second)
}
