package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// scene is what conditions are made from.
type scene struct {
	w       *world.World
	p       plan.Plan
	failure error
}

// serving is an instance at rest: revision aaa in blue, two API pods, one of each other component.
func serving() *scene {
	active := &v1alpha1.RevisionStatus{Color: v1alpha1.Blue, Revision: "aaa", Version: "1.0.0"}
	status := v1alpha1.EngLogInstanceStatus{
		Active:  active,
		Rollout: &v1alpha1.RolloutStatus{ID: "aaa-1", Attempt: 1, Step: v1alpha1.StepStable, ToRevision: "aaa", VerifiedAt: &metav1.Time{Time: noon}, Message: "revision aaa is active"},
		Schema:  &v1alpha1.SchemaStatus{Current: 3, OldestCompatible: 1, Levels: []v1alpha1.RevisionLevel{{Revision: "aaa", Level: 3}}},
	}
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: "shop", Generation: 7}, Status: *status.DeepCopy()}
	s := &scene{w: &world.World{
		Instance: instance, Target: world.Target{Revision: "aaa", Version: "1.0.0"},
		Spec:      v1alpha1.EngLogInstanceSpec{API: &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 2}}},
		Workloads: map[world.Slot]world.Workload{}, Routes: map[v1alpha1.ComponentName]world.Route{},
	}, p: plan.Plan{Status: status}}
	s.pods(v1alpha1.Blue, "aaa", 2, 1, 1)
	s.route("aaa", v1alpha1.Blue)
	return s
}

func (s *scene) pods(color v1alpha1.Color, revision string, api, worker, frontend int) {
	for c, n := range map[v1alpha1.ComponentName]int{v1alpha1.API: api, v1alpha1.Worker: worker, v1alpha1.Frontend: frontend} {
		w := world.Workload{Exists: true, Revision: revision, Replicas: int32(n)}
		for i := range n {
			w.Pods = append(w.Pods, world.Pod{Name: fmt.Sprint(c, i), Revision: revision, Ready: true, ImageID: "englog@sha256:" + revision})
		}
		s.w.Workloads[world.Slot{Component: c, Color: color}] = w
	}
}

func (s *scene) route(revision string, color v1alpha1.Color) {
	for _, c := range world.Routed {
		s.w.Routes[c] = world.Route{Exists: true, Color: color, Revision: revision, Endpoints: world.Endpoints{Ready: map[string]int32{revision: 1}}}
	}
}

// rolling is serving with a candidate bbb in the given step. The step is persisted already.
func rolling(step v1alpha1.Step) *scene {
	s := serving()
	s.w.Target = world.Target{Revision: "bbb", Version: "1.1.0"}
	for _, status := range []*v1alpha1.EngLogInstanceStatus{&s.w.Instance.Status, &s.p.Status} {
		status.Candidate = &v1alpha1.RevisionStatus{Color: v1alpha1.Green, Revision: "bbb", Version: "1.1.0"}
		status.Rollout = &v1alpha1.RolloutStatus{ID: "bbb-1", Attempt: 1, Step: step, FromRevision: "aaa", ToRevision: "bbb", Message: "the plan's sentence"}
	}
	return s
}

// switched is rolling after the switch.
func switched(step v1alpha1.Step) *scene {
	s := rolling(step)
	s.route("bbb", v1alpha1.Green)
	s.pods(v1alpha1.Green, "bbb", 2, 1, 1)
	for _, status := range []*v1alpha1.EngLogInstanceStatus{&s.w.Instance.Status, &s.p.Status} {
		status.Previous, status.Active, status.Candidate = status.Active, status.Candidate, nil
		status.Schema.Levels = append(status.Schema.Levels, v1alpha1.RevisionLevel{Revision: "bbb", Level: 3})
	}
	return s
}

func (s *scene) with(change func(*scene)) *scene { change(s); return s }

func (s *scene) find(t *testing.T, condition string) metav1.Condition {
	t.Helper()
	conditions := Conditions(s.w, s.p, s.failure, noon)
	checkConsistent(t, s.w.Instance, conditions)
	return *meta.FindStatusCondition(conditions, condition)
}

type expectation struct {
	scene  *scene
	status metav1.ConditionStatus
	reason string
	text   string
}

func judge(t *testing.T, condition string, table map[string]expectation) {
	t.Helper()
	for name, e := range table {
		t.Run(name, func(t *testing.T) {
			c := e.scene.find(t, condition)
			if c.Status != e.status || c.Reason != e.reason || !strings.Contains(c.Message, e.text) {
				t.Errorf("%s = %s %s: %q\nwant %s %s: …%s…", condition, c.Status, c.Reason, c.Message, e.status, e.reason, e.text)
			}
		})
	}
}

func hold(reason, message string) func(*scene) {
	return func(s *scene) { s.p.Holds = append(s.p.Holds, world.Problem{Reason: reason, Message: message}) }
}

func stall(reason, message string) func(*scene) {
	return func(s *scene) { s.p.Stalled = &world.Problem{Reason: reason, Message: message} }
}

// since lets the step have lasted for a time.
func since(d time.Duration) func(*scene) {
	return func(s *scene) { s.p.Status.Rollout.StepEnteredAt = &metav1.Time{Time: noon.Add(-d)} }
}

func missing(s *scene) {
	s.w.Missing = []world.Problem{{Reason: "SecretMissing", Message: "Secret demo-db: does not exist: create it"}}
	s.w.Target.Revision = ""
}

func refused(s *scene) {
	s.w.Refusals = []world.Problem{{Reason: "InvalidSpec", Message: "metadata.name: too long: choose a shorter one"}}
	s.p.Stalled = &s.w.Refusals[0]
}

func uninstalled(s *scene) {
	for _, status := range []*v1alpha1.EngLogInstanceStatus{&s.w.Instance.Status, &s.p.Status} {
		status.Active, status.Schema = nil, nil
	}
	s.w.Routes = nil
}

func hibernated(s *scene) {
	s.w.Spec.Activity = v1alpha1.ActivityHibernated
	s.w.Instance.Spec.Activity = s.w.Spec.Activity
}

func paused(s *scene) {
	s.w.Spec.Reconciliation = v1alpha1.ReconciliationPaused
	s.w.Instance.Spec.Reconciliation = s.w.Spec.Reconciliation
}

func deaf(s *scene) {
	s.w.Routes[v1alpha1.API] = world.Route{Exists: true, Color: v1alpha1.Blue, Revision: "aaa"}
	s.w.Workloads[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Blue}] = world.Workload{
		Exists: true, Revision: "aaa", Replicas: 2, Pods: []world.Pod{{Revision: "aaa", Waiting: "CrashLoopBackOff: back-off"}, {Revision: "aaa", Waiting: "CrashLoopBackOff: back-off"}},
	}
}

func onePodShort(s *scene) {
	w := s.w.Workloads[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Blue}]
	w.Pods[1].Ready, w.Pods[1].Unschedulable = false, "0/3 nodes are available: insufficient cpu"
}

func failedBefore(outcome v1alpha1.Outcome) func(*scene) {
	return func(s *scene) {
		s.w.Target.Revision = "bbb"
		s.p.Status.LastFailure = &v1alpha1.FailureStatus{Revision: "bbb", Reason: "CheckFailed", Message: "check smoke failed"}
		s.p.Status.History = []v1alpha1.HistoryEntry{{Revision: "bbb", Outcome: outcome}}
		stall("CheckFailed", "check smoke failed; change the spec")(s)
	}
}

func undone(reason string) func(*scene) {
	return func(s *scene) {
		s.p.Status.Rollout.Outcome, s.p.Status.Rollout.Reason, s.p.Status.Rollout.Message = v1alpha1.OutcomeRolledBack, reason, "check errors failed: 40 %"
	}
}

func drift(s *scene) { s.route("zzz", v1alpha1.Green) }

func forbidden(s *scene) {
	s.failure = fmt.Errorf("applying: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "demo-api-blue", errors.New("exceeded quota: small")))
}

func TestReady(t *testing.T) {
	judge(t, "Ready", map[string]expectation{
		"serving":        {serving(), "True", "Serving", "version 1.0.0 serves from blue"},
		"a refused spec": {serving().with(refused), "False", "InvalidSpec", "choose a shorter one"},
		"a foreign object": {serving().with(func(s *scene) {
			s.w.Conflicts = []world.Problem{{Reason: "NameConflict", Message: "Service demo-api exists"}}
		}), "False", "NameConflict", "Service demo-api"},
		"a missing Secret":               {serving().with(missing), "False", "SecretMissing", "create it"},
		"nobody is served":               {serving().with(deaf), "False", "NoReadyPods", "CrashLoopBackOff: back-off"},
		"not served outweighs missing":   {serving().with(deaf).with(missing), "False", "NoReadyPods", ""},
		"a rollout under way":            {rolling(v1alpha1.StepScaling), "False", "InProgress", "the plan's sentence"},
		"the new one is being confirmed": {switched(v1alpha1.StepConfirming), "False", "InProgress", ""},
		"the old one is kept warm":       {switched(v1alpha1.StepRetaining), "True", "Serving", "version 1.1.0 serves from green"},
		"one pod short":                  {serving().with(onePodShort), "False", "PodsNotReady", "1 of 2 api pods are ready in blue: 0/3 nodes"},
		"a failed revision":              {serving().with(failedBefore(v1alpha1.OutcomeAborted)), "False", "CheckFailed", "change the spec"},
		"hibernated":                     {serving().with(hibernated), "False", "Hibernated", "set it to Running"},
		"not installed":                  {rolling(v1alpha1.StepMigrating).with(uninstalled), "False", "InProgress", "the plan's sentence"},
		"no room":                        {serving().with(forbidden), "False", "QuotaExceeded", "raise the ResourceQuota"},
		"a passing failure":              {serving().with(func(s *scene) { s.failure = apierrors.NewTooManyRequests("slow down", 1) }), "True", "Serving", ""},
	})
}

func TestAvailable(t *testing.T) {
	judge(t, "Available", map[string]expectation{
		"serving":               {serving(), "True", "Serving", "live route"},
		"candidate coming up":   {rolling(v1alpha1.StepScaling), "True", "Serving", ""},
		"one route moved":       {rolling(v1alpha1.StepSwitching).with(func(s *scene) { s.w.Routes[v1alpha1.Frontend] = switched("").w.Routes[v1alpha1.Frontend] }), "True", "Serving", ""},
		"just switched":         {switched(v1alpha1.StepConfirming).with(func(s *scene) { s.route("aaa", v1alpha1.Blue) }), "True", "Serving", ""},
		"going back":            {switched(v1alpha1.StepRollingBack), "True", "Serving", ""},
		"paused":                {serving().with(paused), "True", "Serving", ""},
		"nobody behind the API": {serving().with(deaf), "False", "NoReadyPods", "no ready api pod is behind the live Service demo-api: CrashLoopBackOff"},
		"no route":              {serving().with(func(s *scene) { delete(s.w.Routes, v1alpha1.Frontend) }), "False", "RouteMissing", "demo-frontend"},
		"no frontend wanted": {serving().with(func(s *scene) {
			delete(s.w.Routes, v1alpha1.Frontend)
			s.w.Spec.Frontend = &v1alpha1.FrontendSpec{Mode: v1alpha1.ModeDisabled}
		}), "True", "Serving", ""},
		"strangers behind the live": {serving().with(drift), "False", "NoReadyPods", ""},
		"not installed":             {rolling(v1alpha1.StepScaling).with(uninstalled), "False", "NotInstalled", ""},
		"hibernated":                {serving().with(hibernated), "False", "Hibernated", "set it to Running"},
	})
}

func TestReconciling(t *testing.T) {
	judge(t, "Reconciling", map[string]expectation{
		"at rest":            {serving(), "False", "Settled", ""},
		"a step":             {rolling(v1alpha1.StepVerifying), "True", "Verifying", "the plan's sentence"},
		"ordinary waiting":   {rolling(v1alpha1.StepScaling).with(hold("NotEnoughReady", "4 of 9 api pods are ready in green")), "True", "Scaling", ""},
		"it takes long":      {rolling(v1alpha1.StepScaling).with(hold("NotEnoughReady", "4 of 9 api pods are ready in green")).with(since(2 * time.Minute)), "True", "NotEnoughReady", "4 of 9"},
		"a complaint":        {rolling(v1alpha1.StepScaling).with(hold("NotEnoughReady", "4 of 9 api pods are ready in green: ErrImagePull")), "True", "NotEnoughReady", "ErrImagePull"},
		"a person is needed": {rolling(v1alpha1.StepAwaitingPromotion).with(hold("AwaitingApproval", "set spec.rollout.promotion.approvedRevision to bbb")), "True", "AwaitingApproval", "approvedRevision"},
		"stalled":            {serving().with(failedBefore(v1alpha1.OutcomeAborted)), "False", "Stalled", "see the condition Stalled"},
		"missing":            {serving().with(missing), "True", "SecretMissing", "create it"},
		"about to begin":     {serving().with(func(s *scene) { s.w.Target.Revision = "bbb" }), "True", "Pending", "bbb"},
		"one pod short":      {serving().with(onePodShort), "True", "PodsNotReady", ""},
		"kept warm":          {switched(v1alpha1.StepRetaining), "False", "Settled", ""},
		"tidying up waits":   {switched(v1alpha1.StepRetaining).with(hold("EndpointsLeadHere", "1 endpoint")).with(since(time.Hour)), "False", "Settled", ""},
		"paused":             {rolling(v1alpha1.StepScaling).with(paused), "False", "Paused", "spec.reconciliation"},
		"no room":            {rolling(v1alpha1.StepScaling).with(forbidden), "True", "QuotaExceeded", ""},
		"hibernated":         {serving().with(hibernated), "False", "Hibernated", ""},
	})
}

func TestStalled(t *testing.T) {
	judge(t, "Stalled", map[string]expectation{
		"serving":           {serving(), "False", "NotStalled", ""},
		"the plan says so":  {switched(v1alpha1.StepConfirming).with(stall("CheckFailed", "check errors failed; onFailure is Hold")), "True", "CheckFailed", "Hold"},
		"refused":           {serving().with(refused), "True", "InvalidSpec", ""},
		"foreign, as seen":  {serving().with(func(s *scene) { s.w.Conflicts = []world.Problem{{Message: "Service demo-api exists"}} }), "True", "NameConflict", "demo-api"},
		"foreign, as hit":   {serving().with(func(s *scene) { s.failure = fmt.Errorf("applying: %w", foreign{}) }), "True", "NameConflict", "rename it"},
		"missing can come":  {serving().with(missing), "False", "NotStalled", ""},
		"waiting for a yes": {rolling(v1alpha1.StepAwaitingPromotion).with(hold("AwaitingApproval", "set it")), "False", "NotStalled", ""},
	})
}

type foreign struct{}

func (foreign) Error() string  { return "Service demo-api exists and is not ours: rename it" }
func (foreign) Reason() string { return "NameConflict" }

func TestRolledOut(t *testing.T) {
	judge(t, "RolledOut", map[string]expectation{
		"active":            {serving(), "True", "RolledOut", "version 1.0.0, revision aaa"},
		"under way":         {rolling(v1alpha1.StepScaling), "False", "InProgress", "the plan's sentence"},
		"switched only":     {switched(v1alpha1.StepConfirming), "False", "InProgress", ""},
		"kept warm":         {switched(v1alpha1.StepRetaining), "True", "RolledOut", "1.1.0"},
		"a third version":   {switched(v1alpha1.StepRetaining).with(func(s *scene) { s.w.Target.Revision = "ccc" }), "False", "InProgress", "ccc"},
		"awaiting approval": {rolling(v1alpha1.StepAwaitingPromotion).with(hold("AwaitingApproval", "set spec.rollout.promotion.approvedRevision to bbb")), "False", "AwaitingApproval", "bbb"},
		"check failed":      {serving().with(failedBefore(v1alpha1.OutcomeAborted)), "False", "CheckFailed", ""},
		"rolled back":       {serving().with(failedBefore(v1alpha1.OutcomeRolledBack)), "False", "RolledBack", ""},
		"going back":        {switched(v1alpha1.StepRollingBack).with(undone("CheckFailed")), "False", "RolledBack", "check errors failed"},
		"giving up": {rolling(v1alpha1.StepAborting).with(func(s *scene) {
			r := s.p.Status.Rollout
			r.Outcome, r.Reason = v1alpha1.OutcomeAborted, "MigrationFailed"
		}), "False", "MigrationFailed", ""},
		"too late": {rolling(v1alpha1.StepAborting).with(func(s *scene) {
			r := s.p.Status.Rollout
			r.Outcome, r.Reason = v1alpha1.OutcomeAborted, "ProgressDeadlineExceeded"
		}), "False", "DeadlineExceeded", ""},
		"superseded": {rolling(v1alpha1.StepAborting).with(func(s *scene) {
			r := s.p.Status.Rollout
			r.Outcome, r.Reason = v1alpha1.OutcomeSuperseded, "Superseded"
		}), "False", "InProgress", ""},
		"held after a failure": {switched(v1alpha1.StepConfirming).with(stall("CheckFailed", "check errors failed")), "False", "CheckFailed", ""},
		"missing":              {serving().with(missing), "False", "SecretMissing", ""},
		"paused":               {rolling(v1alpha1.StepScaling).with(paused), "False", "Paused", "set it to Enabled"},
		"asleep":               {serving().with(hibernated).with(func(s *scene) { s.w.Target.Revision = "bbb" }), "False", "Hibernated", ""},
		"asleep and current":   {serving().with(hibernated), "True", "RolledOut", ""},
	})
}

func TestMigrated(t *testing.T) {
	first := func(result v1alpha1.MigrationResult) *scene {
		return rolling(v1alpha1.StepMigrating).with(uninstalled).with(func(s *scene) {
			s.p.Status.Rollout.Migration = &v1alpha1.MigrationStatus{JobName: "demo-migrate-bbb-1", Result: result, To: 3, Message: "no such host"}
		})
	}
	levels := func(current, oldest int32) *scene {
		return serving().with(func(s *scene) { s.p.Status.Schema.Current, s.p.Status.Schema.OldestCompatible = current, oldest })
	}
	judge(t, "Migrated", map[string]expectation{
		"fits":             {serving(), "True", "Migrated", "level 3"},
		"ahead by expand":  {levels(5, 1), "True", "Migrated", ""},
		"left behind":      {levels(5, 4), "False", "SchemaTooNew", "newer version"},
		"restored too old": {levels(2, 1), "False", "SchemaTooOld", "run its migrations"},
		"nothing known":    {serving().with(func(s *scene) { s.p.Status.Schema = nil }), "Unknown", "NotObserved", ""},
		"first, running":   {first(v1alpha1.MigrationRunning), "False", "Migrating", "demo-migrate-bbb-1"},
		"first, done":      {first(v1alpha1.MigrationSucceeded), "True", "Succeeded", "level 3"},
		"first, failed":    {first(v1alpha1.MigrationFailed), "False", "MigrationFailed", "no such host"},
		"first, refused":   {first(v1alpha1.MigrationRefused), "False", "MigrationRefused", ""},
		"first, not begun": {rolling(v1alpha1.StepPreparing).with(uninstalled), "False", "NotMigrated", ""},
		"candidate's fails": {rolling(v1alpha1.StepAborting).with(func(s *scene) {
			s.p.Status.Rollout.Migration = &v1alpha1.MigrationStatus{Result: v1alpha1.MigrationFailed}
		}), "True", "Migrated", ""},
		"the user's business": {switched(v1alpha1.StepStable).with(func(s *scene) {
			s.p.Status.Rollout.Migration = &v1alpha1.MigrationStatus{Result: v1alpha1.MigrationSkipped}
		}), "True", "Skipped", "Disabled"},
	})
}

func TestTrafficVerified(t *testing.T) {
	checks := func(results ...v1alpha1.CheckResult) func(*scene) {
		return func(s *scene) {
			for i, r := range results {
				s.p.Status.Rollout.Checks = append(s.p.Status.Rollout.Checks, v1alpha1.CheckStatus{Name: fmt.Sprint("live-", i), Result: r, Message: "said so"})
			}
		}
	}
	before := func(status metav1.ConditionStatus, reason string) func(*scene) {
		return func(s *scene) {
			s.w.Instance.Status.Conditions = []metav1.Condition{{Type: "TrafficVerified", Status: status, Reason: reason, Message: "as found then", LastTransitionTime: metav1.NewTime(noon)}}
		}
	}
	judge(t, "TrafficVerified", map[string]expectation{
		"verified long ago":         {serving(), "True", "Verified", "revision aaa"},
		"just switched":             {switched(v1alpha1.StepConfirming), "False", "Verifying", "bbb"},
		"one of two":                {switched(v1alpha1.StepConfirming).with(checks("Passed", "Running")), "False", "Verifying", ""},
		"both":                      {switched(v1alpha1.StepConfirming).with(checks("Passed", "Passed")), "True", "Verified", ""},
		"failed":                    {switched(v1alpha1.StepConfirming).with(checks("Passed", "Failed")), "False", "CheckFailed", "said so"},
		"blind":                     {switched(v1alpha1.StepConfirming).with(checks("Inconclusive", "Passed")), "Unknown", "Inconclusive", "said so"},
		"next candidate comes up":   {rolling(v1alpha1.StepScaling).with(before("True", "Verified")), "True", "Verified", "as found then"},
		"next, but nothing on file": {rolling(v1alpha1.StepScaling), "Unknown", "NotObserved", ""},
		"while switching":           {rolling(v1alpha1.StepSwitching).with(before("True", "Verified")).with(drift), "True", "Verified", ""},
		"taken away":                {serving().with(drift), "False", "RouteDrifted", "aaa"},
		"going back":                {switched(v1alpha1.StepRollingBack).with(undone("CheckFailed")), "Unknown", "RolledBack", "goes back to revision aaa"},
		"long after a rollback":     {rolling(v1alpha1.StepStable).with(failedBefore(v1alpha1.OutcomeRolledBack)).with(before("Unknown", "RolledBack")), "Unknown", "RolledBack", ""},
		"not installed":             {rolling(v1alpha1.StepScaling).with(uninstalled), "False", "NotInstalled", ""},
	})
}

func TestReferencesAndSpec(t *testing.T) {
	judge(t, "ReferencesResolved", map[string]expectation{
		"all there": {serving(), "True", "Resolved", ""},
		"missing":   {serving().with(missing), "False", "SecretMissing", "Secret demo-db"},
	})
	judge(t, "SpecAccepted", map[string]expectation{
		"valid":    {serving(), "True", "Accepted", ""},
		"refused":  {serving().with(refused), "False", "InvalidSpec", "too long"},
		"a caveat": {serving().with(func(s *scene) { s.w.Warnings = []world.Problem{{Message: "b"}, {Message: "a"}} }), "True", "AcceptedWithWarnings", "a; b"},
	})
}

func TestTransitionTimes(t *testing.T) {
	s := serving()
	s.w.Instance.Status.Conditions = Conditions(s.w, s.p, nil, noon)
	later := noon.Add(time.Hour)
	for _, c := range Conditions(s.w, s.p, nil, later) {
		if !c.LastTransitionTime.Time.Equal(noon) {
			t.Errorf("%s turned at %s although nothing has changed", c.Type, c.LastTransitionTime)
		}
	}
	deaf(s)
	for _, c := range Conditions(s.w, s.p, nil, later) {
		turned := c.Type == "Ready" || c.Type == "Available" || c.Type == "Reconciling"
		if c.LastTransitionTime.Time.Equal(later) != turned {
			t.Errorf("%s turned at %s", c.Type, c.LastTransitionTime)
		}
	}
}

func TestFailuresInWords(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "demo", field.ErrorList{field.Invalid(field.NewPath("data", "password"), "hunter2", "must be longer")})
	deployments := schema.GroupResource{Resource: "deployments"}
	for name, c := range map[string]struct {
		err    error
		reason string
		text   string
	}{
		"none":           {nil, "", ""},
		"conflict":       {fmt.Errorf("applying: %w", apierrors.NewConflict(deployments, "x", errors.New("changed"))), "", ""},
		"overloaded":     {apierrors.NewServiceUnavailable("later"), "", ""},
		"foreign":        {fmt.Errorf("applying: %w", foreign{}), "NameConflict", "rename it"},
		"invalid":        {invalid, "ApplyRejected", "refuses Secret demo: data.password (Invalid)"},
		"not allowed":    {apierrors.NewForbidden(deployments, "x", errors.New("no")), "Forbidden", "deployments"},
		"something else": {errors.New("cannot render the Deployment"), "ApplyFailed", "cannot render"},
	} {
		p := tellingFailure(c.err)
		if c.reason == "" {
			if p != nil {
				t.Errorf("%s: %+v, want nothing", name, p)
			}
			continue
		}
		if p == nil || p.Reason != c.reason || !strings.Contains(p.Message, c.text) || strings.Contains(p.Message, "hunter2") {
			t.Errorf("%s: %+v, want %s with %q", name, p, c.reason, c.text)
		}
	}
}
