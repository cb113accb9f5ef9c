// Package crash disturbs cutovers on the real node: it kills the operator, deletes an API pod, kills a worker, each at a
// step chosen by a printed seed, and asks that users notice nothing all the same. It sees the operator as a user does and
// must import neither controllers nor workload.
package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/node"
)

// A disturbance happens once in a cutover.
type disturbance struct {
	name  string
	steps []v1alpha1.Step // at which it may happen; nil = any
	do    func(context.Context, *cutover.Stage) (string, error)
	// repeats is how many handler runs may be repeated: those that a killed worker had begun.
	repeats int
}

// workerConcurrency is how many tasks one worker runs at a time.
const workerConcurrency = 10

var disturbances = []disturbance{
	{name: "kill the operator", do: func(ctx context.Context, s *cutover.Stage) (string, error) { return s.KillOperator(ctx) }},
	// Deleted, not killed: a request that is inside a process when it dies cannot be saved by anybody.
	{name: "delete an API pod of the active color", do: onActive((*cutover.Stage).DeletePod, "api")},
	{
		name: "kill a worker of the active color", do: onActive((*cutover.Stage).KillPod, "worker"), repeats: workerConcurrency,
		// From Handover on, the old workers are on their way out.
		steps: []v1alpha1.Step{v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying, v1alpha1.StepConfirming},
	},
}

func onActive(act func(*cutover.Stage, context.Context, string, string) (string, error), component string) func(context.Context, *cutover.Stage) (string, error) {
	return func(ctx context.Context, s *cutover.Stage) (string, error) {
		color, err := s.ActiveColor(ctx)
		if err != nil {
			return "", err
		}
		return act(s, ctx, component, color)
	}
}

// A plan is one cutover with its disturbance.
type plan struct {
	disturbance

	at v1alpha1.Step
}

// always are steps that no cutover can pass over so quickly that they are never seen from outside.
var always = []v1alpha1.Step{
	v1alpha1.StepPreparing, v1alpha1.StepScaling, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover, v1alpha1.StepRetaining,
}

// plans draws n cutovers; every disturbance comes up once before any comes up twice.
func plans(seed uint64, n int) []plan {
	rng := rand.New(rand.NewPCG(seed, 3))
	var out []plan
	for i := range n {
		d := disturbances[i%len(disturbances)]
		steps := d.steps
		if steps == nil {
			steps = always
		}
		out = append(out, plan{disturbance: d, at: steps[rng.IntN(len(steps))]})
	}
	return out
}

func TestPlansCoverEveryDisturbanceAndRepeatBySeed(t *testing.T) {
	a, b := plans(7, 3), plans(7, 3)
	for i := range a {
		if a[i].name != disturbances[i].name || a[i].at != b[i].at {
			t.Errorf("plan %d: %s at %s, again %s", i, a[i].name, a[i].at, b[i].at)
		}
	}
}

// total is the last line of the output.
type total struct {
	Kills         int `json:"kills"`
	Requests      int `json:"requests"`
	Failed        int `json:"failed"`
	LostEntries   int `json:"lost_entries"`
	LostTasks     int `json:"lost_tasks"`
	DuplicateRuns int `json:"duplicate_runs"` // of tasks whose pod was not killed
}

func (t *total) add(r *cutover.Result, repeats int) {
	t.Kills++
	t.Requests += r.Requests
	t.Failed += r.Failed
	t.LostEntries += r.LostEntries
	t.LostTasks += r.LostTasks
	t.DuplicateRuns += max(r.DuplicateRuns-repeats, 0)
}

func TestNobodyNoticesADisturbedCutover(t *testing.T) {
	node.Need(t)
	seed, kills := number(t, "SEED", uint64(time.Now().UnixNano())%100000), number(t, "KILLS", 3)
	t.Logf("seed %d (SEED=%d repeats it), %d kills", seed, seed, kills)
	rig := &rig{}
	stage, err := cutover.Raise(t.Context(), cutover.Options{Rate: 200, During: rig.during}, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	if err := stage.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sum total
	for n, p := range plans(seed, int(kills)) {
		t.Run(fmt.Sprintf("%d %s in %s", n+1, p.name, p.at), func(t *testing.T) {
			r := rig.disturb(t, stage, p, n)
			sum.add(r, p.repeats)
		})
	}
	if err := stage.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(sum); err != nil {
		t.Error(err)
	}
}

// rig carries the plan under way to the callback of the stage.
type rig struct {
	mu   sync.Mutex
	plan *plan
	do   func(plan)
}

func (r *rig) during(step v1alpha1.Step) {
	r.mu.Lock()
	p := r.plan
	if p == nil || p.at != step {
		r.mu.Unlock()
		return
	}
	r.plan = nil
	r.mu.Unlock()
	r.do(*p)
}

// disturb runs one cutover with its disturbance and fails the test if users noticed.
func (r *rig) disturb(t *testing.T, stage *cutover.Stage, p plan, n int) *cutover.Result {
	t.Helper()
	r.mu.Lock()
	r.plan, r.do = &p, func(p plan) {
		what, err := p.do(t.Context(), stage)
		if err != nil {
			t.Errorf("%s in %s: %v", p.name, p.at, err)
		}
		t.Logf("%s in %s: %s", p.name, p.at, what)
	}
	r.mu.Unlock()
	// Any setting of the service makes a revision, and with it a cutover.
	spec := map[string]any{"config": map[string]any{"maxContentBytes": 64<<10 + n}}
	if n == 0 {
		spec = map[string]any{"version": cutover.VersionNew}
	}
	result, err := stage.Cutover(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	result.Print(node.Log(t))
	if r.plan != nil {
		t.Errorf("step %s was never seen, so nothing was disturbed", p.at)
	}
	if result.Failed+result.LostEntries+result.LostTasks > 0 || result.DuplicateRuns > p.repeats {
		t.Errorf("users noticed: %+v", result)
	}
	return result
}

func number(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %q is not a number", name, text)
	}
	return n
}
