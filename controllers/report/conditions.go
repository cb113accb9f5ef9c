package report

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Reasons that more than one condition gives.
const (
	reasonNameConflict = "NameConflict"
	reasonInProgress   = "InProgress"
	reasonHibernated   = "Hibernated"
	reasonNotInstalled = "NotInstalled"
	reasonRolledBack   = "RolledBack"
	reasonNotObserved  = "NotObserved"
)

// finding is a condition without its times.
type finding struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

func isTrue(reason, format string, args ...any) finding {
	return finding{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func isFalse(reason, format string, args ...any) finding {
	return finding{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func isUnknown(reason, format string, args ...any) finding {
	return finding{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

// falseFor makes a problem a False condition.
func falseFor(p world.Problem) finding { return isFalse(p.Reason, "%s", p.Message) }

// judges finds each condition, in the order in which users read them.
var judges = []struct {
	condition string
	judge     func(*view) finding
}{
	{v1alpha1.ConditionReady, (*view).ready},
	{v1alpha1.ConditionAvailable, (*view).available},
	{v1alpha1.ConditionReconciling, (*view).reconciling},
	{v1alpha1.ConditionStalled, (*view).stalledCondition},
	{v1alpha1.ConditionRolledOut, (*view).rolledOut},
	{v1alpha1.ConditionMigrated, (*view).migrated},
	{v1alpha1.ConditionTrafficVerified, (*view).trafficVerified},
	{v1alpha1.ConditionReferencesResolved, (*view).referencesResolved},
	{v1alpha1.ConditionSpecAccepted, (*view).specAccepted},
}

// Conditions are the conditions of an instance, always all of them and in the same order. failure is what kept the plan's writes from
// being made. A time of transition is kept as long as the status of its condition stays.
func Conditions(w *world.World, p plan.Plan, failure error, now time.Time) []metav1.Condition {
	return newView(w, p, failure, now).conditions()
}

func (v *view) conditions() []metav1.Condition {
	list := make([]metav1.Condition, 0, len(judges))
	for _, j := range judges {
		f := j.judge(v)
		c := metav1.Condition{
			Type: j.condition, Status: f.status, Reason: f.reason, Message: clip(f.message, 2048),
			ObservedGeneration: v.w.Instance.Generation, LastTransitionTime: stamp(v.now),
		}
		if old := meta.FindStatusCondition(v.old.Conditions, j.condition); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		list = append(list, c)
	}
	return list
}

// ready sums up: users are served, and what runs is what the spec asks for. When not, it gives the reason that a person should act on
// first.
func (v *view) ready() finding {
	if len(v.w.Refusals) > 0 {
		return v.specAccepted()
	}
	if s := v.stalled(); s != nil {
		return falseFor(*s)
	}
	if v.hibernated() && v.in(settled) {
		return isFalse(reasonHibernated, "no pod runs because spec.activity is Hibernated: set it to Running")
	}
	if v.failure != nil {
		return falseFor(*v.failure)
	}
	if available := v.available(); available.status != metav1.ConditionTrue && v.next.Active != nil {
		return available
	}
	for _, judge := range []func() finding{v.referencesResolved, v.rolledOut, v.complete} {
		if f := judge(); f.status != metav1.ConditionTrue {
			return isFalse(f.reason, "%s", f.message)
		}
	}
	return isTrue("Serving", "version %s serves from %s", v.next.Active.Version, lower(v.next.Active.Color))
}

// complete says whether the active revision, which there has to be, has the pods that the spec asks for at least.
func (v *view) complete() finding {
	a := *v.next.Active
	for _, c := range append(append([]v1alpha1.ComponentName{}, v.routed()...), v1alpha1.Worker) {
		w := v.w.Workloads[world.Slot{Component: c, Color: a.Color}]
		if ready, wanted := w.Ready(a.Revision), atLeast(&v.w.Spec, c); ready < wanted {
			return isFalse("PodsNotReady", "%d of %d %s pods are ready in %s%s", ready, wanted, c, lower(a.Color), v.complaints(c, a))
		}
	}
	return isTrue("PodsReady", "all pods are ready")
}

// atLeast is the least number of pods that a spec asks for.
func atLeast(spec *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) int32 {
	var replicas int32
	var bounds *v1alpha1.AutoscalingSpec
	switch {
	case c == v1alpha1.API && spec.API != nil:
		replicas, bounds = spec.API.Replicas, spec.API.Autoscaling
	case c == v1alpha1.Frontend && spec.Frontend != nil:
		replicas, bounds = spec.Frontend.Replicas, spec.Frontend.Autoscaling
	case c == v1alpha1.Worker && spec.Worker != nil:
		replicas = spec.Worker.Replicas
		if a := spec.Worker.Autoscaling; a != nil {
			bounds = &a.AutoscalingSpec
		}
	}
	if bounds != nil {
		replicas = bounds.MinReplicas
	}
	return max(replicas, 1)
}

// available says whether users are served, by whatever revision the live routes lead to: it stays True through a cutover.
func (v *view) available() finding {
	switch {
	case v.hibernated() && v.in(settled):
		return isFalse(reasonHibernated, "no pod runs because spec.activity is Hibernated: set it to Running")
	case v.next.Active == nil:
		return isFalse(reasonNotInstalled, "no revision has taken traffic yet")
	}
	for _, c := range v.routed() {
		route := v.w.Routes[c]
		if !route.Exists {
			return isFalse("RouteMissing", "the live Service %s does not exist; it is made again", plan.LiveName(v.w.Instance.Name, c))
		}
		if v.serving(route) == 0 {
			return isFalse("NoReadyPods", "no ready %s pod is behind the live Service %s%s", c, plan.LiveName(v.w.Instance.Name, c), v.complaints(c, *v.next.Active))
		}
	}
	return isTrue("Serving", "ready pods are behind every live route")
}

// serving counts the endpoints behind a route that belong to a revision with a role.
func (v *view) serving(route world.Route) int32 {
	var n int32
	for _, r := range v.roles() {
		n += route.Endpoints.Ready[r.Revision]
	}
	return n
}

// reconciling is True while the operator moves the instance towards its spec. Its reason is the step when all goes well.
func (v *view) reconciling() finding {
	concern := v.concern()
	if v.in(settled) && v.current() {
		concern = nil // what tidying up waits for is not the spec's business
	}
	switch {
	case v.stalled() != nil:
		return isFalse("Stalled", "nothing more is done; see the condition Stalled")
	case v.watching() != "":
		return isFalse(v.watching(), "nothing is written because spec.reconciliation is %s", v.watching())
	case v.failure != nil:
		return isTrue(v.failure.Reason, "%s", v.failure.Message)
	case concern != nil:
		return isTrue(concern.Reason, "%s", concern.Message)
	case !v.in(settled):
		return isTrue(string(v.step()), "%s", v.sentence())
	case v.hibernated():
		return isFalse(reasonHibernated, "the instance is hibernated")
	case len(v.w.Missing) > 0:
		return isTrue(v.referencesResolved().reason, "waiting: %s", v.referencesResolved().message)
	case !v.current():
		return isTrue("Pending", "a rollout to revision %s is about to begin", v.w.Target.Revision)
	}
	for _, judge := range []func() finding{v.available, v.complete} {
		if f := judge(); f.status != metav1.ConditionTrue {
			return isTrue(f.reason, "%s", f.message)
		}
	}
	return isFalse("Settled", "the spec is realised")
}

// stalledCondition is True when nothing more happens without a person.
func (v *view) stalledCondition() finding {
	if s := v.stalled(); s != nil {
		return isTrue(s.Reason, "%s", s.Message)
	}
	return isFalse("NotStalled", "no one has to do anything")
}

// rolledOut says whether the revision of the spec is the active one, and confirmed.
func (v *view) rolledOut() finding {
	switch {
	case v.current() && v.in(settled):
		return isTrue("RolledOut", "version %s, revision %s, is active", v.next.Active.Version, v.next.Active.Revision)
	case v.p.Stalled != nil:
		return isFalse(v.failedReason(v.p.Stalled.Reason), "%s", v.p.Stalled.Message)
	case v.watching() != "":
		return isFalse(v.watching(), "the rollout waits because spec.reconciliation is %s: set it to Enabled", v.watching())
	case len(v.w.Missing) > 0 && v.in(settled):
		return v.referencesResolved()
	case v.in(settled) && v.hibernated():
		return isFalse(reasonHibernated, "the rollout waits because spec.activity is Hibernated: set it to Running")
	case v.in(settled):
		return isFalse(reasonInProgress, "a rollout to revision %s is about to begin", v.w.Target.Revision)
	default:
		return v.underWay()
	}
}

// failedReason is the reason of a failure that is remembered; one that was undone after the switch is a rollback.
func (v *view) failedReason(reason string) string {
	f, h := v.next.LastFailure, v.next.History
	if f != nil && len(h) > 0 && v.in(settled) && h[0].Revision == f.Revision && h[0].Outcome == v1alpha1.OutcomeRolledBack {
		return reasonRolledBack
	}
	return causeReason(reason)
}

func causeReason(reason string) string {
	if reason == "ProgressDeadlineExceeded" {
		return "DeadlineExceeded"
	}
	return reason
}

// underWay is RolledOut of a rollout that has not ended.
func (v *view) underWay() finding {
	r, concern := v.rollout(), v.concern()
	switch {
	case r.Outcome == v1alpha1.OutcomeRolledBack:
		return isFalse(reasonRolledBack, "%s", r.Message)
	case r.Outcome == v1alpha1.OutcomeAborted && r.Reason != "":
		return isFalse(causeReason(r.Reason), "%s", r.Message)
	case concern != nil && concern.Reason == "AwaitingApproval":
		return isFalse(concern.Reason, "%s", concern.Message)
	default:
		return isFalse(reasonInProgress, "%s", v.sentence())
	}
}

// migrated says whether the schema is the one that the active revision needs.
func (v *view) migrated() finding {
	a, s := v.next.Active, v.next.Schema
	if a == nil {
		return v.firstMigration()
	}
	if m := v.rollout().Migration; m != nil && m.Result == v1alpha1.MigrationSkipped && v.rollout().ToRevision == a.Revision {
		return isTrue("Skipped", "migrations are yours: spec.rollout.migration.policy is Disabled")
	}
	level, known := levelOf(s, a.Revision)
	switch {
	case !known:
		return isUnknown(reasonNotObserved, "no migration of revision %s is on record", a.Revision)
	case level < s.OldestCompatible:
		return isFalse("SchemaTooNew", "revision %s knows schema level %d, the database needs at least %d: go to a newer version", a.Revision, level, s.OldestCompatible)
	case level > s.Current:
		return isFalse("SchemaTooOld", "revision %s needs schema level %d, the database is at %d: run its migrations", a.Revision, level, s.Current)
	case len(s.AwaitingApproval) > 0:
		last := s.AwaitingApproval[len(s.AwaitingApproval)-1]
		return isTrue("ContractAwaitsApproval", "the schema fits revision %s; migration %s takes something away and was not run: to run it, set "+
			"spec.rollout.migration.destructive to WhenApproved and spec.rollout.migration.approvedMigration to %s", a.Revision, last, last)
	default:
		return isTrue("Migrated", "the schema fits revision %s, which brings level %d", a.Revision, level)
	}
}

// firstMigration is Migrated of an instance that has no active revision yet.
func (v *view) firstMigration() finding {
	m := v.rollout().Migration
	if m == nil {
		return isFalse("NotMigrated", "no migration has run yet")
	}
	switch m.Result {
	case v1alpha1.MigrationSucceeded, v1alpha1.MigrationSkipped:
		return isTrue(string(m.Result), "the schema is at level %d", m.To)
	case v1alpha1.MigrationFailed, v1alpha1.MigrationRefused:
		return isFalse("Migration"+string(m.Result), "migration Job %s: %s", m.JobName, m.Message)
	default:
		return isFalse("Migrating", "migration Job %s has not ended", m.JobName)
	}
}

func levelOf(s *v1alpha1.SchemaStatus, revision string) (int32, bool) {
	if s == nil {
		return 0, false
	}
	for _, l := range s.Levels {
		if l.Revision == revision {
			return l.Level, true
		}
	}
	return 0, false
}

// trafficVerified says whether fresh connections through the live routes have answered with the active revision.
func (v *view) trafficVerified() finding {
	a, r := v.next.Active, v.rollout()
	switch {
	case a == nil:
		return isFalse(reasonNotInstalled, "no revision has taken traffic yet")
	case r.Outcome == v1alpha1.OutcomeRolledBack && v.step() == v1alpha1.StepRollingBack:
		return isUnknown(reasonRolledBack, "traffic goes back to revision %s; no fresh connection has been asked since", goal(v.next))
	}
	if drifted := v.drifted(*a); drifted != "" {
		return isFalse("RouteDrifted", "the live %s route shows another revision than %s; it is taken back", drifted, a.Revision)
	}
	wentBack := r.Outcome == v1alpha1.OutcomeRolledBack && v.step() == v1alpha1.StepAborting
	if !wentBack && (r.ToRevision != a.Revision || v.step() == v1alpha1.StepSwitching) {
		return v.asBefore()
	}
	return v.heard(*a)
}

// goal is the revision that a rollback leads to.
func goal(s *v1alpha1.EngLogInstanceStatus) string {
	if s.Rollout.Step == v1alpha1.StepRollingBack && s.Previous != nil {
		return s.Previous.Revision
	}
	return s.Active.Revision
}

// drifted names a route that shows another revision outside of a switch.
func (v *view) drifted(a v1alpha1.RevisionStatus) v1alpha1.ComponentName {
	if v.step() == v1alpha1.StepSwitching {
		return ""
	}
	for _, c := range v.routed() {
		if r := v.w.Routes[c]; r.Exists && r.Revision != a.Revision {
			return c
		}
	}
	return ""
}

// asBefore keeps what was found about the active revision when it took its place.
func (v *view) asBefore() finding {
	old := meta.FindStatusCondition(v.old.Conditions, v1alpha1.ConditionTrafficVerified)
	if old == nil || old.Reason == "RouteDrifted" {
		return isUnknown(reasonNotObserved, "the live routes show revision %s; no fresh connection has been asked", v.next.Active.Revision)
	}
	return finding{old.Status, old.Reason, old.Message}
}

// livePrefix begins the names of the built-in checks that ask through the live routes.
const livePrefix = "live-"

// heard sums up the checks through the live routes.
func (v *view) heard(a v1alpha1.RevisionStatus) finding {
	var asked, answered int
	for _, c := range v.rollout().Checks {
		if !strings.HasPrefix(c.Name, livePrefix) {
			continue
		}
		asked++
		switch c.Result {
		case v1alpha1.CheckPassed:
			answered++
		case v1alpha1.CheckFailed:
			return isFalse("CheckFailed", "check %s failed: %s", c.Name, c.Message)
		case v1alpha1.CheckInconclusive:
			return isUnknown("Inconclusive", "check %s sees nothing: %s", c.Name, c.Message)
		default:
		}
	}
	switch {
	case asked > 0 && asked == answered, v.rollout().VerifiedAt != nil:
		return isTrue("Verified", "fresh connections through the live routes answer with revision %s", a.Revision)
	case v.in(settled):
		return v.asBefore()
	default:
		return isFalse("Verifying", "asking fresh connections through the live routes for revision %s", a.Revision)
	}
}

// referencesResolved says whether everything that the spec names exists.
func (v *view) referencesResolved() finding {
	if len(v.w.Missing) > 0 {
		return falseFor(*joined("ReferenceMissing", v.w.Missing))
	}
	return isTrue("Resolved", "everything that the spec names exists")
}

// specAccepted says whether the spec passed the checks that its schema cannot express.
func (v *view) specAccepted() finding {
	switch {
	case len(v.w.Refusals) > 0:
		return falseFor(*joined("InvalidSpec", v.w.Refusals))
	case len(v.w.Warnings) > 0:
		return isTrue("AcceptedWithWarnings", "%s", joined("", v.w.Warnings).Message)
	default:
		return isTrue("Accepted", "the spec is valid")
	}
}
