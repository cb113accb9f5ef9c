// Package e2e runs the whole system on the real node: a cluster with real containers, the operator in it, one instance,
// load on it, and a cutover that nobody may notice. It sees what users see and must import neither controllers nor
// workload.
package e2e

import (
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/node"
)

func TestCutoverUnderLoad(t *testing.T) {
	node.Need(t)
	o := cutover.Options{Rate: 200, ConfirmSeconds: 10, RetentionSeconds: 15}
	stage, result, err := cutover.Run(t.Context(), o, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	result.Print(node.Log(t))
	t.Run("no user noticed", func(t *testing.T) { nothingFailed(t, result) })
	t.Run("the path was straight", func(t *testing.T) { straight(t, result) })
	t.Run("old connections left at once", func(t *testing.T) {
		// kube-proxy follows within a second, and each of the 50 kept connections is used once in half a second; the rest
		// is room for a busy machine. Without /retire the last old answer comes after 30 s.
		if result.LastOldKeepAliveMs > 4000 || result.LastOldFreshMs > 3000 {
			t.Errorf("last old answers %v ms (fresh) and %v ms (keep-alive) after the switch, want at most 3000 and 4000",
				result.LastOldFreshMs, result.LastOldKeepAliveMs)
		}
	})
	t.Run("deleting the instance leaves nothing", func(t *testing.T) {
		if err := stage.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func nothingFailed(t *testing.T, r *cutover.Result) {
	t.Helper()
	if !r.Clean() {
		t.Errorf("users noticed the cutover: %+v", r)
	}
	if r.Sent < 200*25 || r.Entries == 0 || r.Tasks == 0 {
		t.Errorf("%d requests, %d entries, %d tasks: too few to prove anything", r.Sent, r.Entries, r.Tasks)
	}
	for _, revision := range []string{r.OldRevision, r.NewRevision} {
		if spans := r.Load.By[revision]; spans["fresh"].Answers == 0 || spans["keep_alive"].Answers == 0 {
			t.Errorf("revision %q did not answer on both kinds of connections: %+v", revision, spans)
		}
	}
}

// straight checks that each step of the path was taken once, in order, and none beside it.
func straight(t *testing.T, r *cutover.Result) {
	t.Helper()
	next := 0
	path := cutover.Path()
	for _, s := range r.Path {
		for next < len(path) && path[next] != s.Step {
			next++
		}
		if next == len(path) {
			t.Fatalf("step %s is out of order in %v", s.Step, r.Path)
		}
		next++
	}
	for _, must := range []v1alpha1.Step{v1alpha1.StepMigrating, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining} {
		if _, was := r.Steps[must]; !was {
			t.Errorf("step %s was never entered", must)
		}
	}
	if r.Steps[v1alpha1.StepConfirming] < 10 || r.Steps[v1alpha1.StepRetaining] < 14 {
		t.Errorf("confirmed for %v s, retained for %v s: want at least 10 and 15", r.Steps[v1alpha1.StepConfirming], r.Steps[v1alpha1.StepRetaining])
	}
}
