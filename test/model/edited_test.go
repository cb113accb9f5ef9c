package model

import (
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Somebody may take the times out of a status. What is under way goes on to its end.
func TestAStatusWithoutItsTimes(t *testing.T) {
	for _, step := range []v1alpha1.Step{v1alpha1.StepAwaitingPromotion, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining} {
		t.Run(string(step), func(t *testing.T) {
			c := NewCluster(Template())
			c.Target, c.Characters["a"], c.Levels["a"] = "a", Good, Level{Brings: 1, Drops: 1}
			play(t, c, "")
			c.Target, c.Characters["b"], c.Levels["b"] = "b", Good, Level{Brings: 1, Drops: 1}
			play(t, c, step)
			edited := c.Instance.DeepCopy()
			edited.Status.Rollout.SwitchedAt, edited.Status.Rollout.StepEnteredAt = nil, nil
			edited.ResourceVersion = c.next()
			c.Instance = edited
			play(t, c, "")
			if a := c.Instance.Status.Active; a == nil || a.Revision != "b" {
				t.Errorf("%+v is active", a)
			}
		})
	}
}

// play makes rounds until the status holds a step; none means until everything rests.
func play(t *testing.T, c *Cluster, step v1alpha1.Step) {
	t.Helper()
	for range 400 {
		if r := c.Instance.Status.Rollout; r != nil && step != "" && r.Step == step {
			return
		}
		round, err := c.Reconcile(&Hand{})
		switch {
		case err != nil, len(round.Changes) > 0, round.Wrote, c.Settle():
		case round.Plan.Wake.IsZero() && step == "":
			return
		case round.Plan.Wake.IsZero():
			t.Fatalf("it never comes to %s", step)
		default:
			c.Now = round.Plan.Wake
		}
	}
	t.Fatal("no end")
}
