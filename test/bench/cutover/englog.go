package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// englog is this operator with the demo's instance: API, frontend and worker. The peers bring the API alone.
type englog struct{ *bench }

func (e *englog) name() string    { return "englog" }
func (e *englog) service() string { return cutover.Name + "-api" }

func (e *englog) actor(user string) bool {
	return strings.HasPrefix(user, "system:serviceaccount:"+cutover.OperatorNamespace+":")
}

func (e *englog) install(ctx context.Context) error {
	if err := e.Install(ctx); err != nil {
		return err
	}
	_, err := e.patch(ctx, map[string]any{"rollout": map[string]any{
		"progressDeadlineSeconds": deadlineSeconds, "checks": []any{httpCheck(v1alpha1.CheckPrePromotion), httpCheck(v1alpha1.CheckPostPromotion)},
	}})
	return err
}

// deadlineSeconds is how long every system waits for a release to get ready.
const deadlineSeconds = 60

// httpCheck asks what the peers' analysis asks, three times, one failure being enough.
func httpCheck(stage v1alpha1.CheckStage) map[string]any {
	return map[string]any{
		"name": strings.ToLower(string(stage)), "stage": stage, "type": v1alpha1.CheckHTTP, "http": map[string]any{"path": probePath},
		"successes": 3, "failures": 1, "intervalSeconds": 1, "timeoutSeconds": 1,
	}
}

func (e *englog) checks(f fault) []any {
	if f == foundLate {
		return []any{httpCheck(v1alpha1.CheckPostPromotion)}
	}
	return []any{httpCheck(v1alpha1.CheckPrePromotion), httpCheck(v1alpha1.CheckPostPromotion)}
}

// bring changes the version, and an annotation that makes a revision of its own of the same version.
func (e *englog) bring(ctx context.Context, r release) (ending, error) {
	before, err := e.get(ctx)
	if err != nil {
		return ending{}, err
	}
	spec := map[string]any{"version": r.version, "api": map[string]any{"podAnnotations": map[string]any{benchLabel: r.name}}}
	if r.fault != none {
		spec["rollout"] = map[string]any{"checks": e.checks(r.fault)}
	}
	generation, err := e.patch(ctx, spec)
	if err != nil {
		return ending{}, err
	}
	var now *v1alpha1.EngLogInstance
	err = until(ctx, 4*time.Minute, "the rollout to end", func(ctx context.Context) (bool, error) {
		if now, err = e.get(ctx); err != nil {
			return false, err
		}
		return over(before, now, generation), fmt.Errorf("step %s", step(now))
	})
	if err != nil {
		return ending{}, err
	}
	said, err := e.outcome(now, r)
	return ending{said, wentBack(now.Status.Rollout)}, err
}

// wentBack is when the operator decided to go back: in the round that a failed check has woken it for.
func wentBack(r *v1alpha1.RolloutStatus) time.Time {
	for _, s := range r.Steps {
		if s.Step == v1alpha1.StepRollingBack {
			return s.At.Time
		}
	}
	return time.Time{}
}

// outcome fails where a good release was refused: the bench would compare something else.
func (e *englog) outcome(now *v1alpha1.EngLogInstance, r release) (string, error) {
	if now.Status.Active.Revision == now.Status.Rollout.ToRevision {
		return "promoted", nil
	}
	f := now.Status.LastFailure
	if f == nil {
		return "not promoted", nil
	}
	said := fmt.Sprintf("refused in %s: %s", f.Step, f.Reason)
	if r.fault == none {
		return said, fmt.Errorf("a good release was %s: %s", said, f.Message)
	}
	return said, nil
}

func over(before, now *v1alpha1.EngLogInstance, generation int64) bool {
	s := now.Status
	return s.ObservedGeneration >= generation && s.Rollout != nil && s.Rollout.Step == v1alpha1.StepStable &&
		(before.Status.Rollout == nil || s.Rollout.ID != before.Status.Rollout.ID)
}

func step(i *v1alpha1.EngLogInstance) v1alpha1.Step {
	if i.Status.Rollout == nil {
		return v1alpha1.StepStable
	}
	return i.Status.Rollout.Step
}

// recover brings a good release, unmeasured.
func (e *englog) recover(ctx context.Context) error {
	e.count++
	_, err := e.bring(ctx, release{name: fmt.Sprintf("r%d", e.count), version: cutover.VersionOld})
	return err
}

func (e *englog) remove(ctx context.Context) error { return e.Remove(ctx) }

func (e *englog) get(ctx context.Context) (*v1alpha1.EngLogInstance, error) {
	i := &v1alpha1.EngLogInstance{}
	return i, e.Get(ctx, client.ObjectKey{Namespace: cutover.Namespace, Name: cutover.Name}, i)
}

// patch merges into the spec and returns the generation that this made.
func (e *englog) patch(ctx context.Context, spec map[string]any) (int64, error) {
	body, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return 0, err
	}
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: cutover.Name}}
	if err := e.Patch(ctx, i, client.RawPatch(types.MergePatchType, body)); err != nil {
		return 0, fmt.Errorf("changing the instance to %s: %w", body, err)
	}
	return i.Generation, nil
}

// gone takes an object that is not there for removed.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
