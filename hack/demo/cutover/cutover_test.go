package cutover

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// at makes an instance whose active revision, rollout and last failure are given by revision names.
func at(observed int64, active string, rollout *v1alpha1.RolloutStatus, failed string) *v1alpha1.EngLogInstance {
	i := &v1alpha1.EngLogInstance{}
	i.Status = v1alpha1.EngLogInstanceStatus{
		ObservedGeneration: observed, Active: &v1alpha1.RevisionStatus{Revision: active}, Rollout: rollout,
	}
	if failed != "" {
		i.Status.LastFailure = &v1alpha1.FailureStatus{Revision: failed, Version: "1.1.0", Reason: "NotReady", Message: "no pod got ready"}
	}
	return i
}

func rollout(id, to string, step v1alpha1.Step) *v1alpha1.RolloutStatus {
	return &v1alpha1.RolloutStatus{ID: id, ToRevision: to, Step: step}
}

func TestVerdictEndsWithThisRolloutAndNoOther(t *testing.T) {
	before := at(1, "old", rollout("old-1", "old", v1alpha1.StepStable), "")
	for name, c := range map[string]struct {
		now         *v1alpha1.EngLogInstance
		ended, fail bool
	}{
		"not seen yet":        {at(1, "old", rollout("old-1", "old", v1alpha1.StepStable), ""), false, false},
		"seen, not begun":     {at(2, "old", rollout("old-1", "old", v1alpha1.StepStable), ""), false, false},
		"under way":           {at(2, "old", rollout("new-1", "new", v1alpha1.StepScaling), ""), false, false},
		"switched, not over":  {at(2, "new", rollout("new-1", "new", v1alpha1.StepRetaining), ""), false, false},
		"promoted":            {at(2, "new", rollout("new-1", "new", v1alpha1.StepStable), ""), true, false},
		"undone":              {at(2, "old", rollout("new-1", "new", v1alpha1.StepStable), "new"), true, true},
		"another failed once": {at(2, "new", rollout("new-1", "new", v1alpha1.StepStable), "other"), true, false},
	} {
		ended, err := verdict(before, c.now, 2)
		if ended != c.ended || (err != nil) != c.fail {
			t.Errorf("%s: ended %v, error %v", name, ended, err)
		}
	}
}

func TestTimeOfAStepEndsWhereTheNextBegins(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	record := func(s v1alpha1.Step, after time.Duration) v1alpha1.StepRecord {
		return v1alpha1.StepRecord{Step: s, At: metav1.NewMicroTime(start.Add(after))}
	}
	r := &v1alpha1.RolloutStatus{Steps: []v1alpha1.StepRecord{
		record(v1alpha1.StepPreparing, 0), record(v1alpha1.StepSwitching, 2*time.Second),
		record(v1alpha1.StepConfirming, 2100*time.Millisecond), record(v1alpha1.StepStable, 12*time.Second),
	}}
	got := stepTimes(r, start.Add(time.Minute))
	if len(got) != 3 || got[0].Seconds != 2 || got[2].Seconds < 9.8 || got[2].Seconds > 10 {
		t.Errorf("steps %+v", got)
	}
	if left := leftSwitching(got); !left.Equal(start.Add(2100 * time.Millisecond)) {
		t.Errorf("left Switching at %s", left)
	}
	r.Steps = r.Steps[:2]
	if got := stepTimes(r, start.Add(5*time.Second)); got[1].Seconds != 3 {
		t.Errorf("the last step took %v s so far, want 3", got[1].Seconds)
	}
}

func TestAnythingFailedOrLostIsNotClean(t *testing.T) {
	if !(&Result{Requests: 9, Sent: 9}).Clean() {
		t.Error("a run without a loss is not clean")
	}
	for name, r := range map[string]Result{
		"request": {Failed: 1}, "entry": {LostEntries: 1}, "task": {LostTasks: 1}, "twice": {DuplicateRuns: 1},
	} {
		if r.Clean() {
			t.Errorf("%s: clean", name)
		}
	}
}

func TestLastOldAnswersAreCountedFromTheSwitch(t *testing.T) {
	applied := time.Now()
	switched := applied.Add(5 * time.Second)
	span := func(first, last time.Duration) load.Span {
		return load.Span{Answers: 1, First: applied.Add(first), Last: applied.Add(last)}
	}
	r := newResult(&load.Report{By: map[string]map[string]load.Span{
		"old": {"fresh": span(-time.Second, 4*time.Second), "keep_alive": span(-time.Second, 6*time.Second)},
		"new": {"fresh": span(5100*time.Millisecond, 9*time.Second)},
	}}, &load.Check{}, nil, applied, applied.Add(30*time.Second))
	r.seen(applied, switched, "old", "new")
	if r.FirstNewSeconds != 5.1 || r.LastOldFreshMs != 0 || r.LastOldKeepAliveMs != 1000 || r.CutoverSeconds != 30 {
		t.Errorf("result %+v", r)
	}
}

func TestBadOptionsNameFieldAndRemedy(t *testing.T) {
	for want, o := range map[string]Options{
		"rate: -1":                {Root: "x", Rate: -1},
		"confirm-seconds: -3":     {Root: "x", ConfirmSeconds: -3},
		"retention-seconds: 3 is": {Root: "x", RetentionSeconds: 3},
		"use one of [Preparing":   {Root: "x", KillOperatorAt: "Lunch"},
	} {
		if _, err := o.withDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestDemoInstanceTakesTheOptions(t *testing.T) {
	o, err := Options{ConfirmSeconds: 11, RetentionSeconds: 22}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	i, err := newInstance(o)
	if err != nil {
		t.Fatal(err)
	}
	if r := i.Spec.Rollout; *r.ConfirmSeconds != 11 || r.RetentionSeconds != 22 || i.Spec.Version != VersionOld {
		t.Errorf("spec %+v", i.Spec)
	}
}

func TestNewestErrorsOfALogAreShownOnce(t *testing.T) {
	logs := `{"level":"INFO","msg":"starting"}
{"level":"ERROR","msg":"a","err":"x"}
not json
{"level":"ERROR","msg":"b","err":"y"}
{"level":"ERROR","msg":"a","err":"x"}
{"level":"ERROR","msg":"c","err":"z"}
`
	if got := strings.Join(newestErrors(logs, 2), " | "); got != "a: x | c: z" {
		t.Errorf("errors %q", got)
	}
}
