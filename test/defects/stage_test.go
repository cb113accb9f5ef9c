// Package defects shows that each known defect of the deployment script that the operator replaces cannot happen with it: a test for each
// row X70 to X88 of the register, at the cheapest layer that shows it. Most play the real planner on the model's simulated cluster.
//
// It must never import observe, apply, probe or the service.
package defects

import (
	"slices"
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
	"github.com/garnizeh/englog-operator/test/model"
)

// covers tells which rows of the register a test shows; hack/coverage reads it from the output of tests that passed.
func covers(t *testing.T, id string) {
	t.Helper()
	t.Logf("covers %s", id)
}

// stage is one instance on the simulated cluster. Each round is kept, and shown to watch if there is one.
type stage struct {
	t      *testing.T
	c      *model.Cluster
	rounds []model.Round
	events []plan.Event
	watch  func(*model.Round)
}

// installed is a stage on which revision a serves in blue. change fits the spec.
func installed(t *testing.T, change ...func(*v1alpha1.EngLogInstanceSpec)) *stage {
	t.Helper()
	s := &stage{t: t, c: model.NewCluster(model.Template())}
	for _, c := range change {
		s.c.Edit(c)
	}
	s.cutover("a", model.Good)
	if a := s.active(); a.Revision != "a" || a.Color != v1alpha1.Blue {
		t.Fatalf("after the installation %v is active", a)
	}
	s.rounds, s.events = nil, nil
	return s
}

// ask makes the spec ask for a revision, whose migrations lead to a level.
func (s *stage) ask(revision string, how model.Character, level ...model.Level) {
	s.c.Target = revision
	s.c.Characters[revision], s.c.Levels[revision] = how, model.Level{Brings: 1, Drops: 1}
	if len(level) > 0 {
		s.c.Levels[revision] = level[0]
	}
}

// cutover asks for a revision and lets everything come to rest.
func (s *stage) cutover(revision string, how model.Character, level ...model.Level) {
	s.t.Helper()
	s.ask(revision, how, level...)
	s.rest()
}

func (s *stage) rest() { s.t.Helper(); s.until("") }

// until makes rounds until the status holds a step; none means until everything rests.
func (s *stage) until(step v1alpha1.Step) {
	s.t.Helper()
	for range 400 {
		if step != "" && s.step() == step {
			return
		}
		round, err := s.c.Reconcile(&model.Hand{})
		if err != nil {
			continue // overtaken: decided anew
		}
		s.keep(round)
		if len(round.Changes) > 0 || round.Wrote || s.c.Settle() {
			continue
		}
		if round.Plan.Wake.IsZero() {
			if step != "" {
				s.t.Fatalf("it rests in %s and never comes to %s", s.step(), step)
			}
			return
		}
		s.c.Now = round.Plan.Wake
	}
	s.t.Fatalf("no end in %s", s.step())
}

func (s *stage) keep(round model.Round) {
	s.rounds = append(s.rounds, round)
	if round.Wrote {
		s.events = append(s.events, round.Plan.Events...)
	}
	if s.watch != nil {
		s.watch(&round)
	}
}

func (s *stage) step() v1alpha1.Step {
	if r := s.status().Rollout; r != nil {
		return r.Step
	}
	return v1alpha1.StepStable
}

func (s *stage) status() *v1alpha1.EngLogInstanceStatus { return &s.c.Instance.Status }

func (s *stage) active() v1alpha1.RevisionStatus {
	if a := s.status().Active; a != nil {
		return *a
	}
	return v1alpha1.RevisionStatus{}
}

func (s *stage) workload(c v1alpha1.ComponentName, color v1alpha1.Color) world.Workload {
	return s.c.Observe().Workloads[world.Slot{Component: c, Color: color}]
}

// outcome is how the newest rollout ended.
func (s *stage) outcome() v1alpha1.Outcome {
	if h := s.status().History; len(h) > 0 {
		return h[0].Outcome
	}
	return ""
}

// serves fails the test unless every live route leads to a revision in a color, and its pods answer.
func (s *stage) serves(revision string, color v1alpha1.Color) {
	s.t.Helper()
	w := s.c.Observe()
	for _, c := range world.Routed {
		r := w.Routes[c]
		if of, others := r.Endpoints.Of(revision); r.Revision != revision || r.Color != color || of == 0 || others > 0 {
			s.t.Errorf("the live %s route is %+v, not revision %s in %s", c, r, revision, color)
		}
	}
}

// changes are all writes that changed something, in their order.
func (s *stage) changes() []plan.Write {
	var all []plan.Write
	for _, r := range s.rounds {
		all = append(all, r.Changes...)
	}
	return all
}

// first is the place of the first change that fits; -1 when there is none.
func (s *stage) first(fits func(plan.Write) bool) int { return slices.IndexFunc(s.changes(), fits) }

func ensures(kind plan.Kind, revision string) func(plan.Write) bool {
	return func(w plan.Write) bool {
		e, ok := w.(plan.Ensure)
		return ok && e.Kind == kind && e.Revision == revision
	}
}

// autoscaled gives the API an autoscaler.
func autoscaled(s *v1alpha1.EngLogInstanceSpec) {
	s.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 20}}
}
