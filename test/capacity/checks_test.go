package capacity

import (
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// mine are the labels by which a query finds the API pods of the revision that a check is about.
const mine = `namespace="$(NAMESPACE)",app_kubernetes_io_component="api",englog_io_revision="$(REVISION)"`

// query is a check of the spec that asks Prometheus.
func query(name string, stage v1alpha1.CheckStage, query string, comparison v1alpha1.Comparison, threshold string) map[string]any {
	return map[string]any{
		"name": name, "stage": stage, "type": "Prometheus", "intervalSeconds": 1, "successes": 3, "failures": 3,
		"prometheus": map[string]any{"query": query, "comparison": comparison, "threshold": threshold},
	}
}

// The checks: how many pods of the revision say that they are ready, the share of answers that are errors, and how many answers there are.
// A query that answers nothing until something was measured keeps a check from passing on nothing.
var (
	ready  = `sum(englog_ready{` + mine + `})`
	errs   = `sum(rate(englog_http_requests_total{` + mine + `,status=~"5.."}[10s]) or 0 * rate(englog_http_requests_total{` + mine + `}[10s]))`
	volume = `sum(rate(englog_http_requests_total{` + mine + `,route!~"/(health|ready)"}[10s]))`
)

func (r *rig) checkWith(t *testing.T, checks ...map[string]any) {
	t.Helper()
	list := make([]any, len(checks))
	for i, c := range checks {
		list[i] = c
	}
	r.change(t, map[string]any{"rollout": map[string]any{"checks": list}})
}

// checks: queries before and after the switch let a version through, hold it while Prometheus is away, and keep it out or send it back, with
// the reason. No user notices any of it.
func (r *rig) checks(t *testing.T) {
	r.install(t)
	t.Run("pass", r.checksPass)
	t.Run("fail after the switch", r.checkFailsAfter)
	t.Run("fail before the switch", r.checkFailsBefore)
	t.Run("see nothing", r.checkSeesNothing)
}

func (r *rig) checksPass(t *testing.T) {
	r.checkWith(t,
		query("up", v1alpha1.CheckPrePromotion, ready, v1alpha1.ComparisonGreaterThanOrEqual, "2"),
		query("errors", v1alpha1.CheckPostPromotion, errs, v1alpha1.ComparisonLessThan, "0.1"),
		query("used", v1alpha1.CheckPostPromotion, volume, v1alpha1.ComparisonGreaterThan, "10"))
	before := r.rolloutID(t)
	var i *v1alpha1.EngLogInstance
	r.loaded(t, func() {
		r.change(t, map[string]any{"version": cutover.VersionNew})
		i = r.ended(t, before)
	})
	if i.Status.Active.Version != cutover.VersionNew {
		t.Fatalf("not promoted: %s", i.Status.Rollout.Message)
	}
	for _, name := range []string{"up", "errors", "used"} {
		if c := check(i, name); c.Result != v1alpha1.CheckPassed {
			t.Errorf("check %s: %+v", name, c)
		}
	}
}

func check(i *v1alpha1.EngLogInstance, name string) v1alpha1.CheckStatus {
	for _, c := range i.Status.Rollout.Checks {
		if c.Name == name {
			return c
		}
	}
	return v1alpha1.CheckStatus{}
}

// checkFailsAfter: what the query counts comes only with users, so the version is stopped by it after the switch.
func (r *rig) checkFailsAfter(t *testing.T) {
	r.checkWith(t, query("used", v1alpha1.CheckPostPromotion, volume, v1alpha1.ComparisonLessThan, "10"))
	i := r.fails(t, v1alpha1.StepConfirming, v1alpha1.OutcomeRolledBack, "check used failed: the query answered ", "wanted LessThan 10")
	t.Logf("last failure: %s", i.Status.LastFailure.Message)
	if took := back(i); took > 20*time.Second {
		t.Errorf("users were back after %s", took)
	} else {
		t.Logf("users were back %s after the switch", took)
	}
}

// back is the time from the end of the switch to the end of the way back.
func back(i *v1alpha1.EngLogInstance) time.Duration {
	var switched time.Time
	for _, s := range i.Status.Rollout.Steps {
		switch s.Step { //nolint:exhaustive // the others are not of interest
		case v1alpha1.StepConfirming:
			switched = s.At.Time
		case v1alpha1.StepAborting:
			return s.At.Sub(switched)
		}
	}
	return time.Hour
}

func (r *rig) checkFailsBefore(t *testing.T) {
	r.checkWith(t, query("up", v1alpha1.CheckPrePromotion, ready, v1alpha1.ComparisonGreaterThan, "100"))
	r.fails(t, v1alpha1.StepVerifying, v1alpha1.OutcomeAborted, "check up failed: the query answered 2, wanted GreaterThan 100")
}

// fails changes the spec under load, awaits that the rollout ends so in a step and for a reason, and turns the spec back.
func (r *rig) fails(t *testing.T, step v1alpha1.Step, outcome v1alpha1.Outcome, words ...string) *v1alpha1.EngLogInstance {
	t.Helper()
	before, err := r.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var i *v1alpha1.EngLogInstance
	r.loaded(t, func() {
		r.change(t, map[string]any{"config": map[string]any{"maxContentBytes": 70_001 + before.Generation}})
		i = r.ended(t, before.Status.Rollout.ID)
	})
	if i.Status.Active.Revision != before.Status.Active.Revision {
		t.Errorf("revision %s is active", i.Status.Active.Revision)
	}
	f := i.Status.LastFailure
	if f == nil || f.Step != step || f.Reason != "CheckFailed" || i.Status.History[0].Outcome != outcome {
		t.Fatalf("the last failure is %+v, and the end %+v", f, i.Status.History[0])
	}
	told := condition(i, v1alpha1.ConditionStalled)
	for _, w := range words {
		if !strings.Contains(f.Message, w) || !strings.Contains(told, w) {
			t.Errorf("neither the last failure nor Stalled may lack %q: %s; %s", w, f.Message, told)
		}
	}
	r.change(t, map[string]any{"config": nil})
	r.await(t, time.Minute, "peace with the spec turned back", func(i *v1alpha1.EngLogInstance) bool {
		return strings.HasPrefix(condition(i, v1alpha1.ConditionReady), "True") && strings.HasPrefix(condition(i, v1alpha1.ConditionStalled), "False")
	})
	return i
}

// checkSeesNothing: without Prometheus a check says nothing, and the candidate waits.
func (r *rig) checkSeesNothing(t *testing.T) {
	r.checkWith(t, query("up", v1alpha1.CheckPrePromotion, ready, v1alpha1.ComparisonGreaterThanOrEqual, "2"))
	before := r.rolloutID(t)
	killProgram(t, "prometheus")
	r.change(t, map[string]any{"config": map[string]any{"maxContentBytes": 70_000}})
	i := r.await(t, 2*time.Minute, "a check that sees nothing", func(i *v1alpha1.EngLogInstance) bool {
		return check(i, "up").Result == v1alpha1.CheckInconclusive
	})
	if c := check(i, "up"); !inStep(v1alpha1.StepVerifying)(i) || !strings.Contains(c.Message, "connection refused") {
		t.Errorf("in %s: %+v", i.Status.Rollout.Step, c)
	}
	r.up(t)
	if i := r.ended(t, before); i.Status.History[0].Outcome != v1alpha1.OutcomePromoted {
		t.Errorf("with Prometheus again: %+v", i.Status.History[0])
	}
}
