package specs_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// A randomWorld is what the operator might see, in any step and in any disorder.
type randomWorld struct{ *world.World }

func newWorld(r *rand.Rand, instance *v1alpha1.EngLogInstance) *randomWorld {
	w := &randomWorld{&world.World{Instance: instance, Spec: instance.Resolve(), Keys: map[string]bool{}}}
	for _, reference := range revision.References(instance.Name, w.Spec) {
		if !once(r, 3) || !reference.Optional && reference.Choice == "" {
			w.Keys[reference.ID()] = true
		}
	}
	_, missing := revision.Choose(revision.References(instance.Name, w.Spec), revision.Keys(w.Keys))
	for _, m := range missing {
		w.Missing = append(w.Missing, world.Problem{Reason: "ReferenceMissing", Message: m})
	}
	if len(missing) == 0 {
		w.Target = world.Target{Revision: []string{blue, green}[r.IntN(2)], Version: w.Spec.Version}
	}
	w.Known = map[string]world.Known{blue: {Version: "1.0.0", Config: "c", Ordinal: 1}, green: {Version: w.Spec.Version, Config: "c", Ordinal: 2}}
	return w
}

func once(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// enter puts the world into a step, with pods, routes and Jobs at random.
func (w *randomWorld) enter(r *rand.Rand, step v1alpha1.Step) {
	w.Workloads, w.Previews = map[world.Slot]world.Workload{}, map[world.Slot]world.Endpoints{}
	w.Routes, w.Jobs, w.Findings, w.Stores = map[v1alpha1.ComponentName]world.Route{}, map[string]world.Job{}, map[string]world.Finding{}, map[v1alpha1.ComponentName]world.Store{}
	for _, color := range world.Colors {
		name := map[v1alpha1.Color]string{v1alpha1.Blue: blue, v1alpha1.Green: green}[color]
		for _, c := range world.Components {
			w.place(r, world.Slot{Component: c, Color: color}, name)
		}
	}
	for _, c := range world.Routed {
		w.Routes[c] = world.Route{
			Exists: !once(r, 4), Color: world.Colors[r.IntN(2)], Revision: []string{blue, green}[r.IntN(2)], Epoch: int64(r.IntN(4)),
			Identity: world.Identity{UID: "u", ResourceVersion: "1"}, Endpoints: endpoints(r, green),
		}
	}
	for _, purpose := range []plan.Purpose{plan.Expand, plan.Contract, plan.WorkerCheck} {
		w.job(r, plan.Ensure{Purpose: purpose, Revision: green, Attempt: 1})
	}
	for _, check := range w.Spec.Rollout.Checks {
		w.job(r, plan.Ensure{Purpose: plan.UserCheck, Check: check.Name, Revision: green, Attempt: 1})
	}
	w.Instance.Status = status(r, step)
	for _, probe := range plan.Next(w.World, now).Probes {
		w.Findings[probe.ID] = world.Finding{
			Result:    []v1alpha1.CheckResult{v1alpha1.CheckPassed, v1alpha1.CheckFailed, v1alpha1.CheckInconclusive, v1alpha1.CheckRunning}[r.IntN(4)],
			Successes: int32(r.IntN(4)), Failures: int32(r.IntN(4)), Message: "m", At: now,
		}
	}
}

func (w *randomWorld) place(r *rand.Rand, slot world.Slot, name string) {
	if once(r, 5) {
		return
	}
	workload := world.Workload{
		Exists: true, Revision: name, Replicas: int32(r.IntN(4)), Settled: !once(r, 3), Identity: world.Identity{UID: "u", ResourceVersion: "1"},
	}
	for i := range r.IntN(4) {
		workload.Pods = append(workload.Pods, world.Pod{
			Name: fmt.Sprint(i), IP: "10.0.0.1", Revision: name, Ready: !once(r, 3), ReadySince: now.Add(-time.Duration(r.IntN(100)) * time.Second), Terminating: once(r, 6), ImageID: "i",
		})
	}
	if scaled(w.Spec, slot.Component) && !once(r, 3) {
		workload.Autoscaler = &world.Autoscaler{Min: int32(r.IntN(4)), Max: int32(r.IntN(9)), Desired: int32(r.IntN(9)), Identity: world.Identity{UID: "u", ResourceVersion: "1"}}
	}
	w.Workloads[slot], w.Previews[slot] = workload, endpoints(r, name)
}

func endpoints(r *rand.Rand, name string) world.Endpoints {
	return world.Endpoints{Identity: world.Identity{UID: "u", ResourceVersion: "1"}, ClusterIP: "10.96.0.9", Ready: map[string]int32{name: int32(r.IntN(4))}}
}

func (w *randomWorld) job(r *rand.Rand, e plan.Ensure) {
	if once(r, 3) {
		return
	}
	name := plan.JobName(w.Instance.Name, e)
	messages := []string{
		"", "no JSON", `{"phase":"expand","from":1,"to":2,"current":2,"oldestCompatible":1}`, `{"phase":"expand","error":"refused"}`, `{"phase":"expand","from":-1,"to":99999999999999}`,
		`[]`, `null`, `{"phase":"contract","destructive":true,"current":2,"oldestCompatible":2}`,
	}
	w.Jobs[name] = world.Job{
		Name: name, Revision: e.Revision, Component: map[bool]string{true: "migrate", false: "check"}[e.Purpose == plan.Expand || e.Purpose == plan.Contract],
		Phase: []world.JobPhase{world.JobActive, world.JobComplete, world.JobFailed}[r.IntN(3)], Message: messages[r.IntN(len(messages))],
		Identity: world.Identity{UID: "u", ResourceVersion: "1"},
	}
}

// status is that of an instance in a step; the empty step has none at all.
func status(r *rand.Rand, step v1alpha1.Step) v1alpha1.EngLogInstanceStatus {
	if step == "" {
		return v1alpha1.EngLogInstanceStatus{}
	}
	at := metav1.NewTime(now.Add(-time.Duration(r.IntN(1000)) * time.Second))
	late := metav1.NewTime(now.Add(time.Duration(r.IntN(1000)-500) * time.Second))
	s := v1alpha1.EngLogInstanceStatus{
		Active:  &v1alpha1.RevisionStatus{Revision: blue, Version: "1.0.0", Color: v1alpha1.Blue},
		Rollout: &v1alpha1.RolloutStatus{ID: "r", Attempt: 1, Epoch: int64(1 + r.IntN(3)), Step: step, StepEnteredAt: &at, StartedAt: &at, FromRevision: blue, ToRevision: green},
	}
	if once(r, 2) {
		s.Rollout.Deadline = &late
	}
	switch step {
	case v1alpha1.StepStable:
	case v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining, v1alpha1.StepRetiring, v1alpha1.StepContracting, v1alpha1.StepRollingBack:
		s.Active, s.Previous = &v1alpha1.RevisionStatus{Revision: green, Version: "1.1.0", Color: v1alpha1.Green}, s.Active
		s.Rollout.SwitchedAt = &at
	default:
		s.Candidate = &v1alpha1.RevisionStatus{Revision: green, Version: "1.1.0", Color: v1alpha1.Green}
	}
	return s
}
