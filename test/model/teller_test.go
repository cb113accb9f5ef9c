package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// teller plays a story and writes down what happens: a line for each write and each event, with the time and the step.
type teller struct {
	t     *testing.T
	c     *Cluster
	out   strings.Builder
	began time.Time
	waits string
	plan  string
	// rand lets pods, Jobs, endpoints and checks move in an order of its own; nil lets them move all at once.
	rand *rand.Rand
}

func newTeller(t *testing.T, r *rand.Rand) *teller {
	c := NewCluster(Template())
	return &teller{t: t, c: c, began: c.Now, rand: r}
}

// installed begins with revision a running.
func (s *teller) installed() {
	s.ask("a", Good, Level{Brings: 1, Drops: 1})
	s.rest()
	s.out.Reset()
	s.began = s.c.Now
}

// say tells what a person does.
func (s *teller) say(format string, args ...any) {
	fmt.Fprintf(&s.out, "\n— "+format+"\n", args...)
}

func (s *teller) line(step v1alpha1.Step, format string, args ...any) {
	fmt.Fprintf(&s.out, "%8s  %-18s %s\n", s.c.Now.Sub(s.began).Round(time.Second), step, fmt.Sprintf(format, args...))
}

// ask makes the spec ask for a revision; the first time it says how the revision is.
func (s *teller) ask(revision string, how ...any) {
	about := "again"
	for _, h := range how {
		switch h := h.(type) {
		case Character:
			s.c.Characters[revision], about = h, string(h)
		case Level:
			s.c.Levels[revision] = h
		}
	}
	s.c.Target = revision
	s.say("the spec asks for %s (%s)", revision, about)
}

func (s *teller) edit(what string, change func(*v1alpha1.EngLogInstanceSpec)) {
	s.c.Edit(change)
	s.say("%s", what)
}

// round makes one reconcile and tells it.
func (s *teller) round() Round {
	s.t.Helper()
	round, err := s.c.Reconcile(&Hand{Judge: s.judge, Told: s.told})
	if err != nil && !passing(err) {
		s.t.Fatalf("%v\n%s", err, s.out.String())
	}
	for _, w := range round.Changes {
		s.line(round.Step, "%s", w)
	}
	for _, e := range round.Plan.Events {
		kind := "event"
		if e.Warning {
			kind = "warning"
		}
		if round.Wrote {
			s.line(round.Step, "%s %s: %s", kind, e.Reason, e.Message)
		}
	}
	s.tellWaits(&round)
	return round
}

func (s *teller) tellWaits(round *Round) {
	waits := ""
	switch p := &round.Plan; {
	case p.Stalled != nil:
		waits = "stalled " + p.Stalled.Reason + ": " + p.Stalled.Message
	case len(p.Holds) > 0:
		waits = "waits " + p.Holds[0].Reason
	}
	if waits != s.waits && waits != "" {
		s.line(round.Step, "%s", waits)
	}
	s.waits = waits
	for _, would := range round.Plan.Status.Plan {
		if text := strings.Join(round.Plan.Status.Plan, "\n"); text != s.plan {
			s.line(round.Step, "would %s", would)
		}
	}
	s.plan = strings.Join(round.Plan.Status.Plan, "\n")
}

func (s *teller) judge(seen *world.World, w plan.Write, before Before) error {
	return Watcher{}.Written(s.c, seen, w, before)
}

func (s *teller) told(round *Round, before *v1alpha1.EngLogInstanceStatus) error {
	return Watcher{}.Persisted(s.c, round, before)
}

// stir lets the cluster move, and says whether it has, or may do so later.
func (s *teller) stir() bool {
	if s.rand == nil {
		return s.c.Settle()
	}
	moved := false
	for range s.rand.IntN(12) {
		moved = s.c.Move(s.rand) || moved
	}
	return moved || s.rand.IntN(3) > 0 || s.c.Settle()
}

// rest goes on until nothing moves any more and no timer is set.
func (s *teller) rest() { s.until("") }

// until goes on until the status says that a step is reached; the step's acts are still to come.
func (s *teller) until(step v1alpha1.Step) {
	s.t.Helper()
	for range 5 * patience {
		if step != "" && stepOf(&s.c.Instance.Status) == step {
			return
		}
		round := s.round()
		if len(round.Changes) > 0 || round.Wrote || s.stir() {
			continue
		}
		if round.Plan.Wake.IsZero() {
			if step != "" {
				s.t.Fatalf("never reached %s\n%s", step, s.out.String())
			}
			s.end()
			return
		}
		s.c.Now = later(s.c.Now, round.Plan.Wake)
	}
	s.t.Fatalf("no rest\n%s", s.out.String())
}

// end tells where things are at rest.
func (s *teller) end() {
	status := &s.c.Instance.Status
	fmt.Fprintf(&s.out, "          = %s\n", s.summary())
	if err := quiet(s.c, nil); err != nil {
		s.t.Errorf("%v", err)
	}
	if step := stepOf(status); step == v1alpha1.StepStable && status.Active != nil && !watched(s.c) {
		if err := tidy(s.c, status.Active); err != nil {
			s.t.Errorf("%v\n%s", err, s.out.String())
		}
	}
}

// summary is what has to be the same whatever the order was.
func (s *teller) summary() string {
	status := &s.c.Instance.Status
	parts := []string{string(stepOf(status))}
	for what, r := range ordered("active", status.Active, "candidate", status.Candidate, "previous", status.Previous) {
		parts = append(parts, fmt.Sprintf("%s %s in %s", what, r.Revision, r.Color))
	}
	if f := status.LastFailure; f != nil {
		parts = append(parts, fmt.Sprintf("%s failed (%s)", f.Revision, f.Reason))
	}
	var pods []string
	for i, slot := range slots {
		if d := &s.c.deployments[i]; d.Replicas > 0 {
			pods = append(pods, fmt.Sprintf("%d %s %s", d.Replicas, slot.Component, slot.Color))
		}
	}
	history := make([]string, 0, len(status.History))
	for _, h := range status.History {
		history = append(history, h.Revision+" "+string(h.Outcome))
	}
	return strings.Join(append(parts, "pods: "+strings.Join(pods, ", "), "history: "+strings.Join(history, ", ")), "; ")
}

func ordered(pairs ...any) func(func(string, *v1alpha1.RevisionStatus) bool) {
	return func(yield func(string, *v1alpha1.RevisionStatus) bool) {
		for i := 0; i < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			r, _ := pairs[i+1].(*v1alpha1.RevisionStatus)
			if r != nil && !yield(name, r) {
				return
			}
		}
	}
}
