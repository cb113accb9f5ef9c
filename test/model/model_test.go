package model

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func spec() v1alpha1.EngLogInstanceSpec {
	confirm := int32(10)
	return v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentStaging,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		API:     &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 2}},
		Rollout: &v1alpha1.RolloutSpec{ConfirmSeconds: &confirm, RetentionSeconds: 60, ProgressDeadlineSeconds: 60},
	}
}

func anything(*world.World, plan.Write, Route) error { return nil }

func path(c *Cluster) string {
	steps := make([]string, 0, 16)
	if c.Instance.Status.Rollout != nil {
		for _, s := range c.Instance.Status.Rollout.Steps {
			steps = append(steps, string(s.Step))
		}
	}
	return strings.Join(steps, " ")
}

const straight = "Preparing Migrating Scaling Verifying AwaitingPromotion Switching Confirming Handover "

func TestStories(t *testing.T) {
	stories := map[string]struct {
		second Character
		path   string
		active string
	}{
		"a good version is promoted":                     {Good, straight + "Retaining Retiring Contracting Stable", "b"},
		"one that is never ready takes no traffic":       {NeverReady, "Preparing Migrating Scaling Aborting Stable", "a"},
		"one whose migration fails starts no pod":        {MigrationFails, "Preparing Migrating Aborting Stable", "a"},
		"one that fails its checks before is aborted":    {FailsBefore, "Preparing Migrating Scaling Verifying Aborting Stable", "a"},
		"one that fails its checks after is rolled back": {FailsAfter, "Preparing Migrating Scaling Verifying AwaitingPromotion Switching Confirming RollingBack Aborting Stable", "a"},
		"one whose workers fail is rolled back":          {WorkersFail, straight + "RollingBack Aborting Stable", "a"},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			c := NewCluster(spec())
			c.Target = "a"
			if err := c.Rest(anything); err != nil {
				t.Fatal(err)
			}
			if got := path(c); got != straight+"Retiring Stable" {
				t.Fatalf("the installation took %s", got)
			}
			c.Target, c.Characters["b"] = "b", story.second
			if err := c.Rest(anything); err != nil {
				t.Fatal(err)
			}
			if got := path(c); got != story.path {
				t.Errorf("took %s\nwant %s", got, story.path)
			}
			status := c.Instance.Status
			if status.Active == nil || status.Active.Revision != story.active || status.Candidate != nil || status.Previous != nil {
				t.Errorf("ended with %s", fmt.Sprint(status.Active, status.Candidate, status.Previous))
			}
			for _, r := range c.Routes {
				if r.Revision != story.active {
					t.Errorf("a route shows %s", r.Revision)
				}
			}
			for slot, d := range c.Deployments {
				if want := slot.Color == status.Active.Color; (d.Replicas > 0) != want {
					t.Errorf("%v has %d replicas", slot, d.Replicas)
				}
			}
		})
	}
}

func TestRandomSchedules(t *testing.T) {
	failures := 0
	for seed := range uint64(*schedules) {
		if _, err := Run(seed, spec()); err != nil {
			t.Error(err)
			if failures++; failures > 10 {
				return
			}
		}
	}
}

// TestTrace prints a failing seed round by round: go test -run TestTrace -seed=N -v.
func TestTrace(t *testing.T) {
	if *traced == 0 {
		t.Skip("give -seed to trace a schedule")
	}
	if err := Trace(*traced, spec(), t.Output()); err != nil {
		t.Error(err)
	}
}

var (
	traced    = flag.Uint64("seed", 0, "the schedule to trace")
	schedules = flag.Int("schedules", 3000, "how many random schedules to play")
)
