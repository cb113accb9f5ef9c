package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/process"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// A disturbance happens once in a cutover, when it has come to a step.
type disturbance struct {
	name string
	at   v1alpha1.Step
	do   func(*rig, context.Context) (string, error)
	// undo brings back what do has changed, after the cutover.
	undo func(*rig, context.Context) error
	// repeats is how many handler runs may be repeated: those that a killed worker had begun.
	repeats int
}

// workerConcurrency is how many tasks one worker runs at a time.
const workerConcurrency = 10

var disturbances = []disturbance{
	{name: "two operators, the lease taken away", do: (*rig).twoOperators, undo: (*rig).oneOperator},
	// Deleted, not killed: a request that is inside a process when it dies cannot be saved by anybody.
	{name: "an API pod restarted", at: v1alpha1.StepConfirming, do: (*rig).deleteActiveAPI},
	{name: "a worker killed", at: v1alpha1.StepScaling, do: (*rig).killActiveWorker, repeats: workerConcurrency},
	{name: "containerd restarted", at: v1alpha1.StepScaling, do: restart("containerd")},
	{name: "the API server restarted", at: v1alpha1.StepConfirming, do: restart("kube-apiserver")},
}

// disturbancesFor is all of them with the whole matrix, and one by seed with a part of it.
func disturbancesFor(seed uint64, kills int) []disturbance {
	if kills == 0 {
		return disturbances
	}
	rng := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // replayable, not secret
	return disturbances[rng.IntN(len(disturbances)):][:1]
}

// disturb goes through one straight cutover with a disturbance.
func (r *rig) disturb(t *testing.T, d disturbance) {
	if err := r.points.arm(nil); err != nil {
		t.Fatal(err)
	}
	act := func(ctx context.Context) error {
		what, err := d.do(r, ctx)
		t.Logf("%s: %s", d.name, what)
		return err
	}
	if d.at == "" {
		if err := act(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.loaded(t, d.repeats, func(ctx context.Context) error {
		rollout, err := r.begin(ctx)
		if err != nil {
			return err
		}
		if d.at != "" {
			if err := errors.Join(rollout.reach(ctx, d.at), act(ctx)); err != nil {
				return err
			}
		}
		return rollout.end(ctx, v1alpha1.OutcomePromoted)
	})
	if d.undo != nil {
		if err := d.undo(r, t.Context()); err != nil {
			t.Error(err)
		}
	}
	r.sum.Kills++
}

func (r *rig) deleteActiveAPI(ctx context.Context) (string, error) {
	color, err := r.ActiveColor(ctx)
	if err != nil {
		return "", err
	}
	return r.DeletePod(ctx, "api", color)
}

func (r *rig) killActiveWorker(ctx context.Context) (string, error) {
	color, err := r.ActiveColor(ctx)
	if err != nil {
		return "", err
	}
	return r.KillPod(ctx, "worker", color)
}

// restart kills a program of the cluster and starts it again.
func restart(program string) func(*rig, context.Context) (string, error) {
	return func(r *rig, ctx context.Context) (string, error) {
		table := process.Table{Dir: filepath.Join(local.StateDir(), "run"), Logs: filepath.Join(local.StateDir(), "log")}
		pid := table.PID(program)
		if pid == 0 {
			return "", fmt.Errorf("%s does not run", program)
		}
		table.Stop(program, syscall.SIGKILL, 5*time.Second)
		return fmt.Sprintf("process %d", pid), r.Repair(ctx)
	}
}

// twoOperators lets two operators work on the same instance, neither asking for a lease.
func (r *rig) twoOperators(ctx context.Context) (string, error) {
	return "both without a lease", r.operators(ctx, 2, func(arg string) bool { return strings.HasPrefix(arg, "--leader-elect") }, "--leader-elect=false")
}

func (r *rig) oneOperator(ctx context.Context) error {
	return r.operators(ctx, 1, func(arg string) bool { return arg == "--leader-elect=false" }, append([]string{"--leader-elect"}, quickLease...)...)
}

func (r *rig) operators(ctx context.Context, n int32, without func(string) bool, with ...string) error {
	var d appsv1.Deployment
	if err := r.Get(ctx, client.ObjectKey{Namespace: cutover.OperatorNamespace, Name: "englog-operator"}, &d); err != nil {
		return fmt.Errorf("reading the operator's Deployment: %w", err)
	}
	before := d.DeepCopy()
	manager := &d.Spec.Template.Spec.Containers[0]
	manager.Args = append(slices.DeleteFunc(manager.Args, without), with...)
	d.Spec.Replicas = &n
	if err := r.Patch(ctx, &d, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("changing the operator's Deployment: %w", err)
	}
	return cutover.Await(ctx, time.Minute, fmt.Sprintf("%d operators", n), r.OperatorAvailable)
}
