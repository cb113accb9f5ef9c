package defects

import (
	"fmt"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
	"github.com/garnizeh/englog-operator/test/model"
)

// The script read the active color from a Deployment that never served: each deployment printed "current v1".
func TestX70_TheActiveColorIsWhatTheRouteShows(t *testing.T) {
	covers(t, "X70")
	s := installed(t)
	color := v1alpha1.Blue
	for _, revision := range []string{"b", "c", "d"} {
		from := s.active().Revision
		s.cutover(revision, model.Good)
		color = world.Other(color)
		s.serves(revision, color)
		if a := s.active(); a.Revision != revision || a.Color != color {
			t.Errorf("active is %v, and users are on %s in %s", a, revision, color)
		}
		if r := s.status().Rollout; r.FromRevision != from {
			t.Errorf("the rollout to %s says that it came from %s, not %s", revision, r.FromRevision, from)
		}
	}
	w := *s.c.Observe()
	w.Instance = w.Instance.DeepCopy()
	w.Instance.Status = v1alpha1.EngLogInstanceStatus{}
	if a := plan.Next(&w, s.c.Now).Status.Active; a == nil || a.Color != color || a.Revision != "d" {
		t.Errorf("without a status, %v is taken for active; the route shows d in %s", a, color)
	}
}

// Deployments without a suffix were never deleted: a worker of the first build consumed the queue for ever.
func TestX71_NothingOfAnEarlierRevisionRunsOn(t *testing.T) {
	covers(t, "X71")
	s := installed(t)
	for _, revision := range []string{"b", "c", "d"} {
		s.cutover(revision, model.Good)
		for slot, w := range s.c.Observe().Workloads {
			for _, p := range w.Pods {
				if p.Revision != revision {
					t.Errorf("pod %s of revision %s runs in %v after the cutover to %s", p.Name, p.Revision, slot, revision)
				}
			}
		}
	}
}

// Any error of the lookup became "v1", and the deployment went over what was live.
func TestX72_WhatServesIsNeverGuessed(t *testing.T) {
	covers(t, "X72")
	s := installed(t)
	w := *s.c.Observe()
	w.Instance = w.Instance.DeepCopy()
	w.Instance.Status = v1alpha1.EngLogInstanceStatus{}
	w.Target = world.Target{Revision: "b", Version: "b"}
	w.Routes = map[v1alpha1.ComponentName]world.Route{}
	for c, r := range s.c.Observe().Routes {
		r.Color, r.Revision = "", "" // its labels are lost; its endpoints are users' all the same
		w.Routes[c] = r
	}
	now := s.c.Now
	for range 10 {
		next := plan.Next(&w, now)
		for _, write := range next.Writes {
			switch write := write.(type) {
			case plan.Ensure:
				if write.Moves || write.Kind == plan.Deployment {
					t.Errorf("%s is written although nobody knows what serves", write)
				}
			case plan.Scale, plan.Delete:
				t.Errorf("%s is written although nobody knows what serves", write)
			}
		}
		w.Instance.Status = next.Status
	}
	if last := plan.Next(&w, now); len(last.Holds) == 0 {
		t.Errorf("it does not say why it waits: %+v", last)
	}
}

// New pods were behind the Service as soon as they were ready, before any check.
func TestX73_NoUserReachesACandidateBeforeItsSwitch(t *testing.T) {
	covers(t, "X73")
	s := installed(t)
	seen := 0
	s.watch = func(*model.Round) {
		w := s.c.Observe()
		if s.status().Rollout.SwitchedAt != nil || s.step() == v1alpha1.StepSwitching {
			return
		}
		seen++
		for _, c := range world.Routed {
			if of, _ := w.Routes[c].Endpoints.Of("b"); of > 0 || w.Routes[c].Revision == "b" {
				t.Errorf("in %s the live %s route leads to the candidate: %+v", s.step(), c, w.Routes[c])
			}
		}
	}
	s.cutover("b", model.Good)
	if s.serves("b", v1alpha1.Green); seen < 5 {
		t.Errorf("only %d rounds before the switch were looked at", seen)
	}
}

// From the second deployment on, the "new" Deployment was the live one: a rolling update in place.
func TestX74_ALiveDeploymentIsNeverUpdatedInPlace(t *testing.T) {
	covers(t, "X74")
	s := installed(t)
	s.watch = func(r *model.Round) {
		for _, w := range r.Changes {
			e, ok := w.(plan.Ensure)
			if ok && e.Kind == plan.Deployment && r.World.Routes[v1alpha1.API].Color == e.Color && r.World.Routes[v1alpha1.API].Revision != e.Revision {
				t.Errorf("%s while users are served by %s in that color", w, r.World.Routes[v1alpha1.API].Revision)
			}
		}
	}
	for _, revision := range []string{"b", "c", "d"} {
		s.cutover(revision, model.Good)
	}
}

// The loop over health checks passed with no pods at all, and asked the API only.
func TestX75_NoPodsAreNoHealth(t *testing.T) {
	covers(t, "X75")
	slot := world.Slot{Component: v1alpha1.API, Color: v1alpha1.Green}
	empty := guard.Subject{
		World: &world.World{Workloads: map[world.Slot]world.Workload{slot: {Exists: true, Revision: "b", Settled: true}}}, Status: &v1alpha1.EngLogInstanceStatus{}, Mover: v1alpha1.RevisionStatus{Color: v1alpha1.Green, Revision: "b"},
		Required: map[v1alpha1.ComponentName]int32{v1alpha1.API: 0}, Checks: map[string]string{"x": "ready"},
	}
	for name, edge := range map[string]guard.Chain{"ToVerifying": guard.ToVerifying, "ToAwaiting": guard.ToAwaiting, "ToSwitching": guard.ToSwitching, "EnoughReady": {guard.EnoughReady}, "ChecksPassed": {guard.ChecksPassed}} {
		if v := edge.Check(empty); v.OK {
			t.Errorf("%s lets a candidate without pods through", name)
		}
	}
	s := installed(t)
	s.ask("b", model.Good)
	s.until(v1alpha1.StepVerifying)
	if s.first(func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Purpose == plan.WorkerCheck }) < 0 {
		t.Error("the worker is not asked")
	}
	asked := map[string]bool{}
	for _, p := range plan.Next(s.c.Observe(), s.c.Now).Probes {
		for _, to := range p.Targets {
			asked[to.Pod] = true
		}
	}
	for _, c := range world.Routed {
		for _, p := range s.workload(c, v1alpha1.Green).Pods {
			if !asked[p.Name] {
				t.Errorf("%s pod %s is not asked whether it is ready", c, p.Name)
			}
		}
	}
	s = installed(t)
	if s.cutover("b", model.NeverReady); s.outcome() != v1alpha1.OutcomeAborted {
		t.Errorf("a candidate that is never ready ended as %s", s.outcome())
	}
	s.serves("a", v1alpha1.Blue)
}

// Workers of both colors consumed the queue before anything was verified, and the old ones were deleted without a drain.
func TestX76_WorkersFollowTheConfirmedSwitch(t *testing.T) {
	covers(t, "X76")
	for _, overlap := range []v1alpha1.WorkerOverlap{v1alpha1.WorkerOverlapAllowed, v1alpha1.WorkerOverlapForbidden} {
		t.Run(string(overlap), func(t *testing.T) {
			s := installed(t, func(spec *v1alpha1.EngLogInstanceSpec) {
				spec.Rollout.Workers = &v1alpha1.WorkerHandoverSpec{Overlap: overlap}
			})
			s.watch = func(*model.Round) {
				old, young := s.workload(v1alpha1.Worker, v1alpha1.Blue), s.workload(v1alpha1.Worker, v1alpha1.Green)
				if s.status().Rollout.VerifiedAt == nil && len(young.Pods) > 0 {
					t.Errorf("new workers run in %s", s.step())
				}
				if overlap == v1alpha1.WorkerOverlapAllowed && old.Ready("a")+young.Ready("b") == 0 {
					t.Errorf("no worker is ready in %s", s.step())
				}
				if overlap == v1alpha1.WorkerOverlapForbidden && len(old.Pods) > 0 && len(young.Pods) > 0 {
					t.Errorf("old and new workers meet in %s", s.step())
				}
			}
			s.cutover("b", model.Good)
			if s.workload(v1alpha1.Worker, v1alpha1.Green).Ready("b") == 0 {
				t.Error("no new worker runs at the end")
			}
		})
	}
}

// The switch was one unchecked patch, then thirty seconds of sleep.
func TestX77_ASwitchIsBelievedWhenItIsSeen(t *testing.T) {
	covers(t, "X77")
	s := installed(t)
	s.watch = func(r *model.Round) {
		for _, w := range r.Changes {
			down, ok := w.(plan.Scale)
			if !ok || down.Replicas > 0 || down.Slot.Color != v1alpha1.Blue || down.Slot.Component == v1alpha1.Worker {
				continue
			}
			if of, _ := r.World.Routes[down.Slot.Component].Endpoints.Of("a"); of > 0 {
				t.Errorf("%s while its endpoints are behind the live Service", down)
			}
		}
	}
	s.ask("b", model.Good)
	s.until(v1alpha1.StepConfirming)
	late := *s.c.Observe()
	late.Findings = nil // no fresh connection has been answered yet
	if next := plan.Next(&late, s.c.Now.Add(s.confirm())); next.Status.Rollout.Step != v1alpha1.StepConfirming {
		t.Errorf("without one answer of the new revision it goes on to %s", next.Status.Rollout.Step)
	}
	s.rest()
	s.serves("b", v1alpha1.Green)
}

// A failure after the switch left users on the bad color, and the script stopped.
func TestX78_AFailureAfterTheSwitchTakesUsersBack(t *testing.T) {
	covers(t, "X78")
	s := installed(t)
	s.cutover("b", model.FailsAfter)
	s.serves("a", v1alpha1.Blue)
	if f := s.status().LastFailure; s.outcome() != v1alpha1.OutcomeRolledBack || f == nil || f.Revision != "b" || f.Message == "" {
		t.Errorf("it ended as %s, and the failure is told as %+v", s.outcome(), f)
	}
	if n := len(s.workload(v1alpha1.API, v1alpha1.Green).Pods); n > 0 {
		t.Errorf("%d pods of the bad color are left", n)
	}
}

// A success deleted the old color at once: there was no quick way back.
func TestX79_TheOldColorStaysWarm(t *testing.T) {
	covers(t, "X79")
	s := installed(t)
	s.ask("b", model.Good)
	s.until(v1alpha1.StepRetaining)
	s.c.Now = s.status().Previous.RetainedUntil.Add(-5 * time.Second)
	for range 5 {
		_, _ = s.c.Reconcile(&model.Hand{})
		s.c.Settle()
	}
	for _, c := range world.Routed {
		if n := s.workload(c, v1alpha1.Blue).Ready("a"); n < s.workload(c, v1alpha1.Green).Ready("b") {
			t.Errorf("only %d old %s pods are warm", n, c)
		}
	}
	before := podNames(s, v1alpha1.API, v1alpha1.Blue)
	s.c.Target = "a"
	began := s.c.Now
	s.until(v1alpha1.StepAborting)
	s.c.Settle() // endpoints follow the routes
	s.serves("a", v1alpha1.Blue)
	if took := s.c.Now.Sub(began); took > 0 {
		t.Errorf("going back waited %s for a timer", took)
	}
	if after := podNames(s, v1alpha1.API, v1alpha1.Blue); after != before {
		t.Errorf("other pods serve than those that stayed: %s, then %s", before, after)
	}
}

func podNames(s *stage, c v1alpha1.ComponentName, color v1alpha1.Color) string {
	var names []string
	for _, p := range s.workload(c, color).Pods {
		names = append(names, p.Name)
	}
	return fmt.Sprint(names)
}
