package model

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Mutant is one way to be wrong. The checker has to notice each: a mutant that lives shows a hole in the environment or in the invariants.
type Mutant struct {
	Name string
	// Lax leaves out rules of the API server: a write without a precondition is one whose precondition is not asked.
	Lax laxity
	// Decide falsifies a decision; nil leaves it as it is.
	Decide func(w *world.World, now time.Time) plan.Plan
	// Begin changes what all schedules share, and returns how to change it back; nil where there is nothing to change.
	Begin func() (end func())
}

// next is the planner's decision, or what the mutant makes of it.
func (m *Mutant) next(w *world.World, now time.Time) plan.Plan {
	if m == nil || m.Decide == nil {
		return plan.Next(w, now)
	}
	return m.Decide(w, now)
}

// Mutants lists all: one for each entry of each chain of guards, and those that break an invariant in another way.
func Mutants() []*Mutant {
	return slices.Concat(guardMutants(), fencingMutants(), planMutants(), blindMutants())
}

// chains lists the edges of the machine.
var chains = []struct {
	name  string
	chain *guard.Chain
}{
	{"ToMigrating", &guard.ToMigrating}, {"ToVerifying", &guard.ToVerifying}, {"ToAwaiting", &guard.ToAwaiting},
	{"ToSwitching", &guard.ToSwitching}, {"ToHandover", &guard.ToHandover}, {"ToRepair", &guard.ToRepair},
	{"ToGoBack", &guard.ToGoBack}, {"ToRollBack", &guard.ToRollBack}, {"ToScaleDown", &guard.ToScaleDown},
}

func guardMutants() []*Mutant {
	var all []*Mutant
	for _, c := range chains {
		for i, g := range *c.chain {
			all = append(all, &Mutant{Name: fmt.Sprintf("%s without %s", c.name, nameOf(g)), Begin: func() func() {
				whole := *c.chain
				*c.chain = slices.Delete(slices.Clone(whole), i, i+1)
				return func() { *c.chain = whole }
			}})
		}
	}
	return all
}

func nameOf(g guard.Guard) string {
	name := runtime.FuncForPC(reflect.ValueOf(g).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

func fencingMutants() []*Mutant {
	return []*Mutant{
		{Name: "a route is written without its identity", Lax: laxity{route: true}},
		{Name: "replicas are written without a precondition", Lax: laxity{scale: true}},
		{Name: "an autoscaler is deleted without a precondition", Lax: laxity{remove: true}},
		{Name: "Deployments and Services are written without their identity", Lax: laxity{ensure: true}},
		{Name: "a template is written whatever its Deployment's spec is now", Lax: laxity{generation: true}},
		{Name: "the status is written without compare-and-swap", Lax: laxity{status: true}},
	}
}

// after falsifies what the planner says. The status is the mutant's to change.
func after(name string, change func(w *world.World, now time.Time, p *plan.Plan)) *Mutant {
	return &Mutant{Name: name, Decide: func(w *world.World, now time.Time) plan.Plan {
		p := plan.Next(w, now)
		change(w, now, &p)
		return p
	}}
}

// blind falsifies what the planner sees.
func blind(name string, change func(w *world.World)) *Mutant {
	return &Mutant{Name: name, Decide: func(w *world.World, now time.Time) plan.Plan {
		falsified := *w
		change(&falsified)
		return plan.Next(&falsified, now)
	}}
}

func entering(w *world.World, p *plan.Plan, step v1alpha1.Step) bool {
	return stepOf(&p.Status) == step && stepOf(&w.Instance.Status) != step
}

func in(w *world.World, step v1alpha1.Step) bool { return stepOf(&w.Instance.Status) == step }

// forgetful does not see what the schema's oldest compatible level is, but keeps it.
func forgetful(w *world.World, now time.Time) plan.Plan {
	schema := w.Instance.Status.Schema
	if schema == nil {
		return plan.Next(w, now)
	}
	falsified := *w
	falsify(&falsified, func(s *v1alpha1.EngLogInstanceStatus) { s.Schema.OldestCompatible = 0 })
	p := plan.Next(&falsified, now)
	if p.Status.Schema != nil {
		p.Status.Schema.OldestCompatible = max(p.Status.Schema.OldestCompatible, schema.OldestCompatible)
	}
	return p
}

// planMutants are planners that decide wrongly.
func planMutants() []*Mutant { return slices.Concat(untimelyPlanners(), misplacingPlanners()) }

// untimelyPlanners get order and time wrong.
func untimelyPlanners() []*Mutant {
	return []*Mutant{
		after("a switch takes no new epoch", func(w *world.World, _ time.Time, p *plan.Plan) {
			if r := w.Instance.Status.Rollout; r != nil && p.Status.Rollout != nil {
				p.Status.Rollout.Epoch = r.Epoch
			}
		}),
		after("it acts before it persists", func(w *world.World, now time.Time, p *plan.Plan) {
			ahead := *w
			instance := *w.Instance
			instance.Status = p.Status
			ahead.Instance = &instance
			p.Writes = append(p.Writes, plan.Next(&ahead, now).Writes...)
		}),
		after("timers are rounded down", func(_ *world.World, now time.Time, p *plan.Plan) {
			cut := func(t *metav1.Time) {
				if t != nil && t.After(now) && now.Nanosecond() > 0 {
					t.Time = t.Add(-time.Second)
				}
			}
			if p.Status.Rollout != nil {
				cut(p.Status.Rollout.Deadline)
				cut(p.Status.Rollout.FloorUntil)
			}
		}),
		after("a restart begins timers anew, from the step's entry", func(_ *world.World, now time.Time, p *plan.Plan) {
			if r := p.Status.Rollout; r != nil && r.Deadline != nil {
				r.Deadline = &metav1.Time{Time: now.Add(time.Second)}
			}
		}),
		after("the floor is not captured", func(_ *world.World, _ time.Time, p *plan.Plan) {
			if p.Status.Rollout != nil {
				p.Status.Rollout.Floor = nil
			}
		}),
		after("replicas are written beside an autoscaler", func(w *world.World, _ time.Time, p *plan.Plan) {
			for slot, d := range w.Workloads {
				if d.Autoscaler != nil && d.Replicas > d.Autoscaler.Min && d.Replicas > 0 {
					p.Writes = append(p.Writes, plan.Scale{Slot: slot, Replicas: d.Autoscaler.Min, Identity: d.Identity})
				}
			}
		}),
		after("the old color is taken down at the switch", func(w *world.World, _ time.Time, p *plan.Plan) {
			if r := w.Instance.Status.Previous; r != nil && in(w, v1alpha1.StepConfirming) {
				p.Writes = append(p.Writes, toZero(w, v1alpha1.API, r)...)
			}
		}),
		after("the API is retired with its frontend", func(w *world.World, _ time.Time, p *plan.Plan) {
			if r := w.Instance.Status.Previous; r != nil && in(w, v1alpha1.StepRetiring) {
				p.Writes = append(p.Writes, toZero(w, v1alpha1.API, r)...)
			}
		}),
		after("the status tells the time", func(w *world.World, now time.Time, p *plan.Plan) {
			if p.Status.Rollout != nil && in(w, v1alpha1.StepStable) {
				p.Status.Rollout.Message = now.String()
			}
		}),
		after("a route is written at rest", func(w *world.World, _ time.Time, p *plan.Plan) {
			if r := w.Routes[v1alpha1.API]; r.Exists && in(w, v1alpha1.StepStable) {
				p.Writes = append(p.Writes, plan.Delete{Kind: plan.Autoscaler, Name: "none"})
			}
		}),
		after("weights are moved without an epoch of their own", func(_ *world.World, _ time.Time, p *plan.Plan) {
			for i, w := range p.Writes {
				if e, ok := w.(plan.Ensure); ok && e.Kind == plan.Weights && e.Moves {
					e.Epoch--
					p.Writes[i] = e
				}
			}
		}),
		after("weights stay where they are", func(_ *world.World, _ time.Time, p *plan.Plan) {
			p.Writes = slices.DeleteFunc(p.Writes, func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Kind == plan.Weights && e.Moves })
		}),
		after("drift is left", func(w *world.World, _ time.Time, p *plan.Plan) {
			if in(w, v1alpha1.StepSwitching) || in(w, v1alpha1.StepRollingBack) {
				return
			}
			p.Writes = slices.DeleteFunc(p.Writes, func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Moves })
		}),
	}
}

// misplacingPlanners put something into the wrong place, or leave it there.
func misplacingPlanners() []*Mutant {
	return []*Mutant{
		after("the candidate is called active before the switch", func(w *world.World, _ time.Time, p *plan.Plan) {
			if entering(w, p, v1alpha1.StepVerifying) && p.Status.Active != nil {
				p.Status.Active = p.Status.Candidate
			}
		}),
		after("workers start with the candidate", func(w *world.World, _ time.Time, p *plan.Plan) {
			if c := w.Instance.Status.Candidate; c != nil && in(w, v1alpha1.StepVerifying) {
				slot := world.Slot{Component: v1alpha1.Worker, Color: c.Color}
				p.Writes = append(p.Writes, plan.Ensure{Kind: plan.Deployment, Component: slot.Component, Color: c.Color, Revision: c.Revision, Identity: w.Workloads[slot].Identity},
					plan.Scale{Slot: slot, Replicas: 2, Identity: w.Workloads[slot].Identity})
			}
		}),
		after("the candidate is put into the active color", func(w *world.World, _ time.Time, p *plan.Plan) {
			if entering(w, p, v1alpha1.StepPreparing) && p.Status.Active != nil {
				p.Status.Candidate.Color = p.Status.Active.Color
			}
		}),
		after("autoscalers come before the pods", func(_ *world.World, _ time.Time, p *plan.Plan) {
			slices.SortStableFunc(p.Writes, func(a, b plan.Write) int { return rank(a) - rank(b) })
		}),
		after("nobody is woken", func(_ *world.World, _ time.Time, p *plan.Plan) { p.Wake = time.Time{} }),
		after("a stalled rollout is forgotten", func(w *world.World, _ time.Time, p *plan.Plan) {
			if p.Stalled != nil && in(w, v1alpha1.StepConfirming) {
				p.Status.Rollout.Step, p.Status.Rollout.Deadline = v1alpha1.StepStable, nil
			}
		}),
		after("pods of a failed candidate stay", func(w *world.World, _ time.Time, p *plan.Plan) {
			if !in(w, v1alpha1.StepAborting) && !in(w, v1alpha1.StepStable) {
				return
			}
			p.Writes = slices.DeleteFunc(p.Writes, func(w plan.Write) bool { s, ok := w.(plan.Scale); return ok && s.Replicas == 0 })
			if in(w, v1alpha1.StepAborting) && p.Status.Candidate != nil && w.Instance.Status.Active != nil {
				p.Status.Candidate = nil
				p.Status.Rollout.Step = v1alpha1.StepStable
			}
		}),
		after("an autoscaler undercuts the floor", func(_ *world.World, _ time.Time, p *plan.Plan) {
			for i, w := range p.Writes {
				if e, ok := w.(plan.Ensure); ok && e.Kind == plan.Autoscaler {
					e.Min = 1
					p.Writes[i] = e
				}
			}
		}),
		after("the last step is left before it is done", func(w *world.World, _ time.Time, p *plan.Plan) {
			if in(w, v1alpha1.StepRetiring) && p.Status.Rollout.Outcome == "" {
				p.Status.Rollout.Step, p.Status.Previous = v1alpha1.StepContracting, nil
			}
		}),
	}
}

func rank(w plan.Write) int {
	if e, ok := w.(plan.Ensure); ok && e.Kind == plan.Deployment {
		return 0
	} else if ok && e.Kind == plan.Autoscaler {
		return 1
	} else if _, ok := w.(plan.Scale); ok {
		return 2
	}
	return 0
}

func toZero(w *world.World, c v1alpha1.ComponentName, r *v1alpha1.RevisionStatus) []plan.Write {
	slot := world.Slot{Component: c, Color: r.Color}
	d := w.Workloads[slot]
	if !d.Exists || d.Replicas == 0 {
		return nil
	}
	return []plan.Write{plan.Scale{Slot: slot, Identity: d.Identity}}
}

// blindMutants are planners that do not see something.
func blindMutants() []*Mutant {
	return []*Mutant{
		{Name: "the schema is not read", Decide: forgetful},
		blind("the retention is not read", func(w *world.World) {
			falsify(w, func(s *v1alpha1.EngLogInstanceStatus) {
				if s.Previous != nil && s.Previous.RetainedUntil != nil {
					s.Previous.RetainedUntil = s.Rollout.StepEnteredAt
				}
			})
		}),
		blind("the approval is not read", func(w *world.World) {
			rollout := *w.Spec.Rollout
			rollout.Promotion = nil
			w.Spec.Rollout = &rollout
		}),
		blind("what waits for approval is approved", func(w *world.World) {
			approving(w, v1alpha1.DestructiveWhenApproved)
		}),
		blind("approvals are not read", func(w *world.World) {
			approving(w, v1alpha1.DestructiveNever)
		}),
		blind("who migrates is not read", func(w *world.World) {
			migration := *w.Spec.Rollout.Migration
			migration.Policy = v1alpha1.MigrationDisabled
			rollout := *w.Spec.Rollout
			rollout.Migration = &migration
			w.Spec.Rollout = &rollout
		}),
		blind("the overlap of workers is not read", func(w *world.World) {
			rollout := *w.Spec.Rollout
			rollout.Workers = nil
			w.Spec.Rollout = &rollout
		}),
		blind("weights are believed, not seen", func(w *world.World) {
			if to := leaderOf(&w.Instance.Status); to != nil {
				weighted := map[v1alpha1.ComponentName]world.WeightedRoute{}
				for c, r := range w.Weighted {
					r.Exists, r.Weights = true, map[v1alpha1.Color]int32{to.Color: 100}
					weighted[c] = r
				}
				w.Weighted = weighted
			}
		}),
		blind("a failed revision is not remembered", func(w *world.World) {
			falsify(w, func(s *v1alpha1.EngLogInstanceStatus) { s.LastFailure = nil })
		}),
		blind("after a rollback nobody is asked", func(w *world.World) {
			falsify(w, func(s *v1alpha1.EngLogInstanceStatus) {
				if s.Rollout != nil && s.Rollout.Step == v1alpha1.StepAborting && s.Rollout.Outcome == v1alpha1.OutcomeRolledBack {
					s.Rollout.VerifiedAt = s.Rollout.SwitchedAt
				}
			})
		}),
		blind("every check has passed", func(w *world.World) {
			findings := map[string]world.Finding{}
			for id := range w.Findings {
				findings[id] = world.Finding{Result: v1alpha1.CheckPassed}
			}
			w.Findings = findings
		}),
		blind("a migration that runs has completed", func(w *world.World) {
			jobs := map[string]world.Job{}
			for name, j := range w.Jobs {
				j.Phase = world.JobComplete
				jobs[name] = j
			}
			w.Jobs = jobs
		}),
		blind("pods that end are counted", func(w *world.World) {
			eachPod(w, func(p *world.Pod) { p.Terminating = false })
		}),
		blind("pods that are not ready are counted", func(w *world.World) {
			eachPod(w, func(p *world.Pod) { p.Ready = true })
		}),
		blind("routes are taken for fenced", func(w *world.World) {
			routes, weighted := maps.Clone(w.Routes), maps.Clone(w.Weighted)
			for c, r := range routes {
				r.Epoch = max(r.Epoch, epochOf(w))
				routes[c] = r
			}
			for c, r := range weighted {
				r.Epoch = max(r.Epoch, epochOf(w))
				weighted[c] = r
			}
			w.Routes, w.Weighted = routes, weighted
		}),
		blind("routes are believed, not seen", func(w *world.World) {
			routes := map[v1alpha1.ComponentName]world.Route{}
			to := leaderOf(&w.Instance.Status)
			for c, r := range w.Routes {
				if to != nil {
					r.Color, r.Revision = to.Color, to.Revision
				}
				routes[c] = r
			}
			w.Routes = routes
		}),
	}
}

// approving falsifies what may be taken away: what waits for it, or nothing.
func approving(w *world.World, destructive v1alpha1.DestructiveMigration) {
	migration := *w.Spec.Rollout.Migration
	migration.Destructive, migration.ApprovedMigration = destructive, ""
	if r := w.Instance.Status.Rollout; destructive == v1alpha1.DestructiveWhenApproved && r != nil && r.Contract != nil && len(r.Contract.Destructive) > 0 {
		migration.ApprovedMigration = r.Contract.Destructive[0]
	}
	rollout := *w.Spec.Rollout
	rollout.Migration = &migration
	w.Spec.Rollout = &rollout
}

func epochOf(w *world.World) int64 {
	if r := w.Instance.Status.Rollout; r != nil {
		return r.Epoch
	}
	return 0
}

func falsify(w *world.World, change func(*v1alpha1.EngLogInstanceStatus)) {
	instance := *w.Instance
	instance.Status = *w.Instance.Status.DeepCopy()
	change(&instance.Status)
	w.Instance = &instance
}

func eachPod(w *world.World, change func(*world.Pod)) {
	all := make(map[world.Slot]world.Workload, len(w.Workloads))
	for slot, d := range w.Workloads {
		d.Pods = slices.Clone(d.Pods)
		for i := range d.Pods {
			change(&d.Pods[i])
		}
		all[slot] = d
	}
	w.Workloads = all
}
