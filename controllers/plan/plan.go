// Package plan is the rollout state machine: from one observed world and the time it computes what to write, what to watch, what
// the status will say and when to look again. It is deterministic: the same world and time give the same plan, so that it can be
// simulated, printed as a dry run, and repeated after a crash.
//
// Two rules make every step safe to repeat. A plan acts for the step that the status already holds, and only ever proposes the next
// step, which report persists before any act of it. And each act describes a wanted state, not a change.
//
// It must never import a Kubernetes client, read a clock or do I/O.
package plan

import (
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Plan is the outcome of one decision.
type Plan struct {
	// Status is what the status will say, conditions apart.
	Status v1alpha1.EngLogInstanceStatus
	// Writes are to be done in this order; the first that fails ends the round.
	Writes []Write
	// Probes are the checks that have to be running now. A check that is no longer listed is stopped and forgotten.
	Probes []Probe
	// Notices tell pods to send their clients elsewhere, or to welcome them again. Best effort.
	Notices []Notice
	// Events are the transitions to tell about.
	Events []Event
	// Holds says why the rollout does not move although it should; empty when it moves or has nothing to do.
	Holds []world.Problem
	// Stalled says that nothing more will happen without a person.
	Stalled *world.Problem
	// Wake is when to look again even if nothing changes; zero for never.
	Wake time.Time
}

// Event is one transition in words.
type Event struct {
	Warning bool
	Reason  string
	Message string
}

// Notice tells one pod of the slot whether it is retired.
type Notice struct {
	Pod    string
	IP     string
	Retire bool
}

// Next decides.
func Next(w *world.World, now time.Time) Plan {
	m := newMachine(w, now)
	if m.recover() {
		return m.plan()
	}
	if m.frozen() {
		return m.plan()
	}
	m.foundation()
	m.routes() // before the rest: on a way back each moment counts
	m.capacity()
	if act, ok := steps[m.was.Rollout.Step]; ok {
		act(m)
	}
	m.notices()
	if m.policy.Paused || m.policy.DryRun {
		return m.held()
	}
	return m.plan()
}

var steps map[v1alpha1.Step]func(*machine)

func init() {
	// A table, so that a reader sees the whole machine; filled here because the steps refer to the machine's methods.
	steps = map[v1alpha1.Step]func(*machine){
		v1alpha1.StepStable:            (*machine).stable,
		v1alpha1.StepPreparing:         (*machine).preparing,
		v1alpha1.StepMigrating:         (*machine).migrating,
		v1alpha1.StepScaling:           (*machine).scaling,
		v1alpha1.StepVerifying:         (*machine).verifying,
		v1alpha1.StepAwaitingPromotion: (*machine).awaitingPromotion,
		v1alpha1.StepSwitching:         (*machine).switching,
		v1alpha1.StepConfirming:        (*machine).confirming,
		v1alpha1.StepHandover:          (*machine).handover,
		v1alpha1.StepRetaining:         (*machine).retaining,
		v1alpha1.StepRetiring:          (*machine).retiring,
		v1alpha1.StepContracting:       (*machine).contracting,
		v1alpha1.StepAborting:          (*machine).aborting,
		v1alpha1.StepRollingBack:       (*machine).rollingBack,
	}
}
