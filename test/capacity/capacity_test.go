// Package capacity proves on the real node what needs real numbers: autoscalers that act on real processor time and on the real age of a queue,
// candidates that lack room, checks that ask a real Prometheus, and the production sample as it is. It sees the operator as a user does and must
// import neither controllers nor workload.
package capacity

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/addons"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

// TestCapacity raises one cluster with everything and plays the parts in order. A part also runs by itself: -run TestCapacity/workers. The
// cluster goes down at the end of the last part.
func TestCapacity(t *testing.T) {
	node.Need(t)
	r := newRig(t)
	t.Run("addons", r.addons)
	t.Run("workers", r.workers)
	t.Run("api", r.api)
	t.Run("room", r.room)
	t.Run("checks", r.checks)
	t.Run("production", r.production)
	t.Run("down", r.down)
}

// rig is one installation.
type rig struct {
	*cutover.Stage

	accounts *load.Accounts
}

// rate leaves half of two cores to the pods that autoscalers add.
const rate = 120

func newRig(t *testing.T) *rig {
	t.Helper()
	stage, err := cutover.Raise(t.Context(), cutover.Options{
		Rate: rate, ConfirmSeconds: 5, RetentionSeconds: 15, With: "metrics,prometheus,external", OperatorManifest: asking, Spec: roomy,
	}, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	return &rig{Stage: stage}
}

// asking gives the operator the address of Prometheus.
func asking(manifest string) string {
	return strings.Replace(manifest, "- --leader-elect\n", "- --leader-elect\n        - --prometheus-url="+addons.PrometheusURL+"\n", 1)
}

// roomy leaves the connections of the database out of what holds autoscalers back.
func roomy(s *v1alpha1.EngLogInstanceSpec) { s.Database.MaxConnectionsPerPod = 3 }

// install makes the demo's instance afresh.
func (r *rig) install(t *testing.T) {
	t.Helper()
	if err := r.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg, err := r.LoadConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.accounts, _, err = load.Prepare(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
}

// change merges a patch into the spec.
func (r *rig) change(t *testing.T, spec map[string]any) {
	t.Helper()
	if _, err := r.Change(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// await fails the test when a state of the instance does not come.
func (r *rig) await(t *testing.T, within time.Duration, what string, done func(*v1alpha1.EngLogInstance) bool) *v1alpha1.EngLogInstance {
	t.Helper()
	var seen *v1alpha1.EngLogInstance
	err := cutover.Await(t.Context(), within, what, func(ctx context.Context) (bool, string, error) {
		i, err := r.Instance(ctx)
		if err != nil {
			return false, "", err
		}
		seen = i
		message := "no rollout"
		if i.Status.Rollout != nil {
			message = string(i.Status.Rollout.Step) + ": " + i.Status.Rollout.Message
		}
		return done(i), message, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// ended waits for the end of the rollout that follows the one with an ID.
func (r *rig) ended(t *testing.T, after string) *v1alpha1.EngLogInstance {
	t.Helper()
	return r.await(t, 5*time.Minute, "the end of the rollout", func(i *v1alpha1.EngLogInstance) bool {
		ro := i.Status.Rollout
		return ro != nil && ro.ID != after && ro.Step == v1alpha1.StepStable && i.Status.Candidate == nil
	})
}

func inStep(step v1alpha1.Step) func(*v1alpha1.EngLogInstance) bool {
	return func(i *v1alpha1.EngLogInstance) bool { return i.Status.Rollout != nil && i.Status.Rollout.Step == step }
}

// rolloutID names the rollout that was the last.
func (r *rig) rolloutID(t *testing.T) string {
	t.Helper()
	i, err := r.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.Status.Rollout == nil {
		return ""
	}
	return i.Status.Rollout.ID
}

// condition is one of the instance's conditions, as "Status Reason: message".
func condition(i *v1alpha1.EngLogInstance, kind string) string {
	for _, c := range i.Status.Conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason + ": " + c.Message
		}
	}
	return ""
}

// loaded runs do under load, and fails the test for each request that failed.
func (r *rig) loaded(t *testing.T, do func()) {
	t.Helper()
	cfg, err := r.LoadConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node.UnderLoad(t, cfg, r.accounts, do)
}

func (r *rig) down(t *testing.T) {
	if err := r.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if out, err := r.Tool(t.Context(), "down"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left(t)
}
