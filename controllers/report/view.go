package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// view is what a status is made from.
type view struct {
	w   *world.World
	p   plan.Plan
	now time.Time
	// old is the persisted status, next the one in the making: the plan's.
	old  *v1alpha1.EngLogInstanceStatus
	next *v1alpha1.EngLogInstanceStatus
	// failure is what kept the plan's writes from being made; nil when nothing did, or nothing worth telling.
	failure *world.Problem
}

func newView(w *world.World, p plan.Plan, failure error, now time.Time) *view {
	v := &view{w: w, p: p, now: now, old: &w.Instance.Status, next: p.Status.DeepCopy(), failure: tellingFailure(failure)}
	if v.justFailed() {
		f := v.next.LastFailure
		v.p.Stalled = &world.Problem{Reason: f.Reason, Message: f.Message + "; change the spec, or set spec.rollout.retryToken to try revision " + f.Revision + " again"}
	}
	return v
}

// justFailed says whether the plan ends a rollout whose failure the next plan will hold against the same revision. Telling it with the
// end saves a write, and the moment in which it would look as if the next try were about to begin.
func (v *view) justFailed() bool {
	f, token := v.next.LastFailure, ""
	if r := v.w.Spec.Rollout; r != nil {
		token = r.RetryToken
	}
	return v.p.Stalled == nil && v.step() == v1alpha1.StepStable && v.entered() && !v.hibernated() &&
		f != nil && f.Revision == v.w.Target.Revision && f.RetryToken == token && !v.current()
}

// Groups of steps, as conditions and the economy of writes see them.
var (
	// settled: the spec is realised; what follows only tidies up.
	settled = []v1alpha1.Step{v1alpha1.StepStable, v1alpha1.StepRetaining, v1alpha1.StepRetiring, v1alpha1.StepContracting}
	// resting: nothing moves by itself, so that every change is worth a write.
	resting = []v1alpha1.Step{v1alpha1.StepStable, v1alpha1.StepAwaitingPromotion, v1alpha1.StepRetaining}
	// speaking: the rollout's message is this room's to keep. In all others it is the plan's memory of why it does what it does.
	speaking = []v1alpha1.Step{
		v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying, v1alpha1.StepAwaitingPromotion,
		v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover,
	}
)

func stepOf(s *v1alpha1.EngLogInstanceStatus) v1alpha1.Step {
	if s.Rollout == nil || s.Rollout.Step == "" {
		return v1alpha1.StepStable
	}
	return s.Rollout.Step
}

func (v *view) step() v1alpha1.Step { return stepOf(v.next) }

func (v *view) in(steps []v1alpha1.Step) bool { return slices.Contains(steps, v.step()) }

// rollout is never nil.
func (v *view) rollout() v1alpha1.RolloutStatus {
	if v.next.Rollout == nil {
		return v1alpha1.RolloutStatus{Step: v1alpha1.StepStable}
	}
	return *v.next.Rollout
}

// current says whether the active revision is the one that the spec asks for.
func (v *view) current() bool {
	return v.next.Active != nil && v.w.Target.Revision == v.next.Active.Revision
}

func (v *view) hibernated() bool { return v.w.Spec.Activity == v1alpha1.ActivityHibernated }

// watching is Paused or DryRun, or empty.
func (v *view) watching() string {
	switch v.w.Spec.Reconciliation {
	case v1alpha1.ReconciliationPaused, v1alpha1.ReconciliationDryRun:
		return string(v.w.Spec.Reconciliation)
	default:
		return ""
	}
}

// routed lists the components that users reach.
func (v *view) routed() []v1alpha1.ComponentName {
	if f := v.w.Spec.Frontend; f != nil && f.Mode == v1alpha1.ModeDisabled {
		return []v1alpha1.ComponentName{v1alpha1.API}
	}
	return world.Routed
}

// roles lists the revisions that have one, with their names.
func (v *view) roles() []*v1alpha1.RevisionStatus {
	var list []*v1alpha1.RevisionStatus
	for _, r := range []*v1alpha1.RevisionStatus{v.next.Active, v.next.Candidate, v.next.Previous} {
		if r != nil {
			list = append(list, r)
		}
	}
	return list
}

// stalled is what a person has to do something about.
func (v *view) stalled() *world.Problem {
	switch {
	case v.p.Stalled != nil:
		return v.p.Stalled
	case len(v.w.Conflicts) > 0:
		return joined("NameConflict", v.w.Conflicts)
	case v.failure != nil && v.failure.Reason == reasonNameConflict:
		return v.failure
	default:
		return nil
	}
}

// concern is the first hold that is more than the ordinary waiting of a rollout.
func (v *view) concern() *world.Problem {
	for _, h := range v.p.Holds {
		if !routine(h) || v.long() {
			return &h
		}
	}
	return nil
}

// patience is how long a step may wait for ordinary things without a word: longer than pods of a warm image take to become ready.
const patience = time.Minute

// long says whether the rollout has been in its step for so long that even the ordinary reason is worth telling.
func (v *view) long() bool {
	at := v.rollout().StepEnteredAt
	return at != nil && v.now.Sub(at.Time) > patience
}

// routine says whether every rollout waits for this for a while: telling it would cost a write in every rollout and teach nobody.
// A cause, which guards put behind a colon, makes it worth telling.
func routine(h world.Problem) bool {
	switch h.Reason {
	case "SnapshotMissing", "RevisionIncomplete", "EndpointsBehind", "ChecksRunning", "WorkersDraining", "ColorOccupied", "RouteLeadsHere", "EndpointsLeadHere":
		return true
	case "NotEnoughReady", "WorkersStarting", "Migrating":
		return !strings.Contains(h.Message, ": ")
	default:
		return false
	}
}

// sentence is what the rollout waits for, where it is this room's to say.
func (v *view) sentence() string {
	r := v.rollout()
	if !v.in(speaking) || v.entered() {
		return r.Message
	}
	problem := cmp.Or(v.stalled(), v.failure, v.concern())
	switch {
	case problem != nil:
		return clip(problem.Message, 1024)
	case v.wasConcerned():
		return v.ordinary()
	default:
		return r.Message
	}
}

// entered says whether the plan proposes another step than the one that is persisted: its message is of now.
func (v *view) entered() bool {
	return v.old.Rollout == nil || v.old.Rollout.Step != v.step() || v.old.Rollout.ID != v.rollout().ID
}

// wasConcerned says whether the persisted message told of a problem: Reconciling carries the step as its reason when there is none.
func (v *view) wasConcerned() bool {
	for _, c := range v.old.Conditions {
		if c.Type == v1alpha1.ConditionReconciling {
			return c.Reason != string(stepOf(v.old))
		}
	}
	return false
}

// ordinary says what a step waits for when nothing is wrong.
func (v *view) ordinary() string {
	r := v.rollout()
	switch r.Step {
	case v1alpha1.StepPreparing:
		return "storing the templates and configuration of revision " + r.ToRevision
	case v1alpha1.StepMigrating:
		return "expand migrations of revision " + r.ToRevision
	case v1alpha1.StepScaling:
		return "waiting for the pods of revision " + r.ToRevision
	case v1alpha1.StepVerifying:
		return "checking revision " + r.ToRevision
	case v1alpha1.StepSwitching:
		return "moving traffic to revision " + r.ToRevision
	case v1alpha1.StepConfirming:
		return "watching revision " + r.ToRevision + " under traffic"
	case v1alpha1.StepHandover:
		return "handing the queue over to revision " + r.ToRevision
	default:
		return "all checks passed"
	}
}

// complaints says what keeps the pods of a slot from running, once each.
func (v *view) complaints(c v1alpha1.ComponentName, r v1alpha1.RevisionStatus) string {
	var all []string
	for _, p := range v.w.Workloads[world.Slot{Component: c, Color: r.Color}].Pods {
		if p.Revision != r.Revision || p.Ready {
			continue
		}
		for _, complaint := range []string{p.Unschedulable, p.Waiting} {
			if complaint != "" {
				all = append(all, complaint)
			}
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, "; ")
}

// joined is several problems as one.
func joined(reason string, problems []world.Problem) *world.Problem {
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	slices.Sort(messages)
	if problems[0].Reason != "" {
		reason = problems[0].Reason
	}
	return &world.Problem{Reason: reason, Message: strings.Join(messages, "; ")}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

func lower(c v1alpha1.Color) string { return strings.ToLower(string(c)) }

func stamp(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
