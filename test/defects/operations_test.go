package defects

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
	"github.com/garnizeh/englog-operator/test/model"
)

func (s *stage) confirm() time.Duration {
	return time.Duration(*s.c.Observe().Spec.Rollout.ConfirmSeconds) * time.Second
}

// scaleTo does what an autoscaler, or a person, does.
func (s *stage) scaleTo(c v1alpha1.ComponentName, color v1alpha1.Color, n int32) {
	s.t.Helper()
	if _, err := s.c.Apply(plan.Scale{Slot: world.Slot{Component: c, Color: color}, Replicas: n}); err != nil {
		s.t.Fatal(err)
	}
}

// The new color began with the replicas of a template, whatever the autoscaler had made of the old one.
func TestX80_TheCandidateBeginsAtTheSizeOfTheActiveColor(t *testing.T) {
	covers(t, "X80")
	s := installed(t, autoscaled)
	s.scaleTo(v1alpha1.API, v1alpha1.Blue, 12)
	s.rest()
	s.ask("b", model.Good)
	s.until(v1alpha1.StepSwitching)
	if n := s.workload(v1alpha1.API, v1alpha1.Green).Ready("b"); n < 12 {
		t.Errorf("%d pods of the candidate are ready when traffic moves away from 12", n)
	}
}

// The autoscaler stayed with a Deployment that did not serve.
func TestX81_EachColorHasItsAutoscaler(t *testing.T) {
	covers(t, "X81")
	s := installed(t, autoscaled)
	s.ask("b", model.Good)
	s.until(v1alpha1.StepConfirming)
	if s.workload(v1alpha1.API, v1alpha1.Green).Autoscaler == nil || s.workload(v1alpha1.API, v1alpha1.Blue).Autoscaler == nil {
		t.Error("a color that serves, or may have to again, has no autoscaler")
	}
	s.rest()
	if s.workload(v1alpha1.API, v1alpha1.Green).Autoscaler == nil {
		t.Error("the color that serves has no autoscaler")
	}
	if s.workload(v1alpha1.API, v1alpha1.Blue).Autoscaler != nil {
		t.Error("the color that is gone still has an autoscaler")
	}
}

// There were no migrations, and both versions shared a schema.
func TestX82_AMigrationComesBeforeItsPods(t *testing.T) {
	covers(t, "X82")
	s := installed(t, func(spec *v1alpha1.EngLogInstanceSpec) {
		spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved, ApprovedMigration: "drop-to-2"}
	})
	s.cutover("b", model.Good, model.Level{Brings: 2, Drops: 2})
	expand := s.first(func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Purpose == plan.Expand })
	contract := s.first(func(w plan.Write) bool { e, ok := w.(plan.Ensure); return ok && e.Purpose == plan.Contract })
	pods, away := s.first(ensures(plan.Deployment, "b")), s.first(func(w plan.Write) bool {
		d, ok := w.(plan.Scale)
		return ok && d.Replicas == 0 && d.Slot == world.Slot{Component: v1alpha1.API, Color: v1alpha1.Blue}
	})
	if expand < 0 || expand > pods || pods > away || away > contract {
		t.Errorf("the order is expand %d, pods %d, old pods away %d, contract %d: %v", expand, pods, away, contract, s.changes())
	}
	s.cutover("a", model.Good)
	if s.active().Revision == "a" {
		t.Error("a version is back that the schema has left behind")
	}

	s = installed(t)
	s.cutover("b", model.MigrationFails)
	if s.serves("a", v1alpha1.Blue); s.first(ensures(plan.Deployment, "b")) >= 0 {
		t.Error("pods were started although the migration failed")
	}

	s = installed(t)
	s.ask("b", model.ContractsEarly, model.Level{Brings: 2, Drops: 2})
	s.until(v1alpha1.StepConfirming)
	s.c.Target = "a"
	s.rest()
	last := s.rounds[len(s.rounds)-1].Plan
	if s.active().Revision != "b" || last.Stalled == nil && s.outcome() != v1alpha1.OutcomePromoted {
		t.Errorf("a rollback that the schema forbids ended with %v active, stalled %v", s.active(), last.Stalled)
	}
}

// Two template engines left blanks and placeholders in what was applied.
func TestX83_NothingIsRenderedWithBlanksOrPlaceholders(t *testing.T) {
	covers(t, "X83")
	// What render makes of the samples is recorded, and its own tests keep the record true.
	golden := os.DirFS("../../controllers/render/testdata")
	blank := regexp.MustCompile(`\$\{|\{\{|<no value>|image: *("")?$|value: *("")?$`)
	files := 0
	err := fs.WalkDir(golden, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/") || strings.HasSuffix(path, "configmap.yaml") {
			return err // a ConfigMap may hold scripts, which have variables of their own
		}
		text, err := fs.ReadFile(golden, path)
		files++
		script := false // and so may a snapshot of a store
		for n, line := range strings.Split(string(text), "\n") {
			script = strings.HasPrefix(line, "  script: ") || script && strings.HasPrefix(line, "    ")
			if !script && blank.MatchString(line) {
				t.Errorf("%s:%d is rendered with a blank: %s", path, n+1, line)
			}
		}
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("%d files were looked at: %v", files, err)
	}
}

// Nothing kept two deployments from running at the same time.
func TestX84_AnOvertakenOperatorMovesNothing(t *testing.T) {
	covers(t, "X84")
	s := installed(t)
	s.ask("b", model.Good)
	s.until(v1alpha1.StepSwitching)
	old := s.c.Observe()
	decided := plan.Next(old, s.c.Now)
	moves := slices.DeleteFunc(slices.Clone(decided.Writes), func(w plan.Write) bool { e, ok := w.(plan.Ensure); return !ok || !e.Moves })
	if len(moves) == 0 {
		t.Fatalf("nothing is moved in Switching: %v", decided.Writes)
	}
	s.until(v1alpha1.StepConfirming)
	s.c.Target = "a"
	s.rest()
	s.serves("a", v1alpha1.Blue)
	for _, w := range moves {
		if changed, err := s.c.Apply(w); err == nil || changed {
			t.Errorf("an overtaken operator could still do: %s", w)
		}
	}
	if wrote, err := s.c.Persist(old.Instance.ResourceVersion, decided.Status); err == nil || wrote {
		t.Error("an overtaken operator could still write the status")
	}
	s.serves("a", v1alpha1.Blue)
}

// The last check was one request to the first host of the Ingress, from wherever the script ran.
func TestX85_TheSwitchIsCheckedInsideTheCluster(t *testing.T) {
	covers(t, "X85")
	s := installed(t, func(spec *v1alpha1.EngLogInstanceSpec) {
		spec.Exposure = &v1alpha1.ExposureSpec{Hosts: []v1alpha1.Hostname{"englog.example.com"}}
	})
	s.ask("b", model.Good)
	s.until(v1alpha1.StepConfirming)
	probes := plan.Next(s.c.Observe(), s.c.Now).Probes
	if len(probes) == 0 {
		t.Fatal("nothing is checked after the switch")
	}
	for _, p := range probes {
		if p.Revision != "b" || p.Successes < 2 {
			t.Errorf("check %s believes an answer of any revision, or a single one: %+v", p.Name, p)
		}
		for _, to := range p.Targets {
			if to.Host != "" || to.IP == "" {
				t.Errorf("check %s depends on a name outside of the cluster: %+v", p.Name, to)
			}
		}
	}
}

// There was no record of what had happened.
func TestX86_ARolloutLeavesARecord(t *testing.T) {
	covers(t, "X86")
	s := installed(t)
	s.cutover("b", model.Good)
	s.cutover("c", model.FailsAfter)
	h := s.status().History
	if len(h) < 3 || h[0].Revision != "c" || h[0].Outcome != v1alpha1.OutcomeRolledBack || h[0].Reason == "" || h[1].Revision != "b" || h[1].Outcome != v1alpha1.OutcomePromoted {
		t.Fatalf("the history is %+v", h)
	}
	for _, entry := range h {
		if entry.StartedAt == nil || entry.FinishedAt == nil {
			t.Errorf("the record of %s has no times: %+v", entry.Revision, entry)
		}
	}
	told := map[string]bool{}
	for _, e := range s.events {
		told[e.Reason] = true
	}
	for _, step := range model.Steps {
		if !told[string(step)] {
			t.Errorf("nothing tells that %s was entered", step)
		}
	}
}

// The time limit counted twice, and nothing cleaned up when it was over.
func TestX87_TheDeadlineCountsOnceAndCleansUp(t *testing.T) {
	covers(t, "X87")
	s := installed(t)
	s.ask("b", model.NeverReady)
	s.until(v1alpha1.StepScaling)
	began, deadline := s.c.Now, s.status().Rollout.Deadline.DeepCopy()
	for range 5 { // an operator that dies again and again does not win time
		_, _ = s.c.Reconcile(&model.Hand{Fault: model.DiesBefore})
		s.c.Now = s.c.Now.Add(5 * time.Second)
	}
	if s.step() == v1alpha1.StepScaling && !s.status().Rollout.Deadline.Equal(deadline) {
		t.Errorf("the deadline moved from %s to %s", deadline, s.status().Rollout.Deadline)
	}
	s.until(v1alpha1.StepAborting)
	if took, limit := s.c.Now.Sub(began), time.Duration(s.c.Observe().Spec.Rollout.ProgressDeadlineSeconds)*time.Second; took > limit+2*time.Second {
		t.Errorf("it gave up after %s, and the limit is %s", took, limit)
	}
	s.until(v1alpha1.StepStable)
	for _, c := range world.Components {
		if w := s.workload(c, v1alpha1.Green); w.Replicas > 0 {
			t.Errorf("%d %s pods of the failed candidate are wanted when the rollout is over", w.Replicas, c)
		}
	}
	s.rest()
	s.serves("a", v1alpha1.Blue)
}

// Applying the static manifest again brought the first Deployment back, with the newest image.
func TestX88_WhatSomebodyBringsBackIsTakenAway(t *testing.T) {
	covers(t, "X88")
	s := installed(t)
	s.cutover("b", model.Good)
	for _, c := range world.Components {
		s.scaleTo(c, v1alpha1.Blue, 3)
	}
	s.c.Settle()
	s.watch = func(*model.Round) { s.serves("b", v1alpha1.Green) }
	s.rest()
	for _, c := range world.Components {
		if w := s.workload(c, v1alpha1.Blue); w.Replicas > 0 || len(w.Pods) > 0 {
			t.Errorf("%d %s pods of the old color run again", len(w.Pods), c)
		}
	}
	if s.active().Revision != "b" {
		t.Errorf("active is %v", s.active())
	}
}
