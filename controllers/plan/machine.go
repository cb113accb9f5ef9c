package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// machine is one decision in the making.
type machine struct {
	w   *world.World
	now time.Time
	// was is the persisted status: acts follow it. next is the proposal.
	was    *v1alpha1.EngLogInstanceStatus
	next   *v1alpha1.EngLogInstanceStatus
	policy Policy
	out    Plan
}

func newMachine(w *world.World, now time.Time) *machine {
	was := w.Instance.Status // what it points to is read only
	m := &machine{w: w, now: now, was: &was, next: was.DeepCopy(), policy: policyOf(&w.Spec)}
	m.out.Writes = make([]Write, 0, 48)
	if m.was.Rollout == nil {
		m.was.Rollout = &v1alpha1.RolloutStatus{Step: v1alpha1.StepStable}
	}
	if a := m.was.Active; a != nil && m.next.Rollout == nil {
		m.next.Rollout = &v1alpha1.RolloutStatus{ID: a.Revision + "-1", Attempt: 1, Step: v1alpha1.StepStable, ToRevision: a.Revision}
	}
	m.next.Plan = nil
	m.limit()
	return m
}

// limit keeps autoscalers within what the database's connections allow.
func (m *machine) limit() {
	for c, ceiling := range m.w.Ceilings {
		if s := m.policy.Sizes[c]; s.Auto && s.Max > ceiling {
			s.Max = max(ceiling, s.Min)
			m.policy.Sizes[c] = s
		}
	}
}

func (m *machine) plan() Plan {
	m.out.Status = *m.next
	return m.out
}

// held is the plan of an instance that is only watched: nothing is written, what would be is shown.
func (m *machine) held() Plan {
	lines := make([]string, 0, len(m.out.Writes)+1)
	for _, w := range m.out.Writes {
		lines = append(lines, w.String())
	}
	if to := m.next.Rollout; to != nil && to.Step != m.was.Rollout.Step {
		lines = append(lines, fmt.Sprintf("then step %s", to.Step))
	}
	status := m.w.Instance.Status.DeepCopy()
	status.Plan = lines[:min(len(lines), 64)]
	return Plan{Status: *status, Holds: m.out.Holds, Stalled: m.out.Stalled}
}

// recover rebuilds a status that was lost: what the live route shows is what is active.
func (m *machine) recover() bool {
	route := m.w.Routes[v1alpha1.API]
	if m.was.Active != nil || m.w.Instance.Status.Rollout != nil || !route.Exists || route.Revision == "" {
		return false
	}
	m.next.Active = &v1alpha1.RevisionStatus{Color: route.Color, Revision: route.Revision, Version: m.w.Known[route.Revision].Version, Since: m.stamp()}
	epoch := route.Epoch
	for _, r := range m.w.Routes {
		epoch = max(epoch, r.Epoch)
	}
	for _, r := range m.w.Weighted {
		epoch = max(epoch, r.Epoch)
	}
	m.next.Rollout = &v1alpha1.RolloutStatus{ // an epoch of its own: leaders of the life that was lost may still be at work
		ID: route.Revision + "-1", Attempt: 1, Epoch: epoch + 1, Step: v1alpha1.StepStable,
		StepEnteredAt: m.stamp(), ToRevision: route.Revision, Trigger: v1alpha1.TriggerInstall,
	}
	m.event(false, "StatusRebuilt", "the status was lost; revision %s is active because the live route shows it", route.Revision)
	return true
}

// frozen holds everything as it is while the spec is not acceptable.
func (m *machine) frozen() bool {
	if len(m.w.Refusals) == 0 {
		return false
	}
	m.out.Stalled = &m.w.Refusals[0]
	return true
}

// stamp is now, rounded up: status keeps whole seconds, and a timer must never become shorter by being stored.
func (m *machine) stamp() *metav1.Time {
	t := metav1.NewTime(m.now.Add(time.Second - time.Nanosecond).Truncate(time.Second))
	return &t
}

func (m *machine) after(d time.Duration) *metav1.Time {
	t := metav1.NewTime(m.stamp().Add(d))
	return &t
}

// wake asks for another look at t.
func (m *machine) wake(t time.Time) {
	if m.out.Wake.IsZero() || t.Before(m.out.Wake) {
		m.out.Wake = t
	}
}

// due says whether an absolute time has come, and asks to be woken when it has not.
func (m *machine) due(t *metav1.Time) bool {
	if t == nil {
		return false
	}
	if !m.now.Before(t.Time) {
		return true
	}
	m.wake(t.Time)
	return false
}

func (m *machine) event(warning bool, reason, format string, args ...any) {
	m.out.Events = append(m.out.Events, Event{Warning: warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (m *machine) add(w Write) { m.out.Writes = append(m.out.Writes, w) }

// hold says why the rollout waits.
func (m *machine) hold(v guard.Verdict) {
	m.out.Holds = append(m.out.Holds, world.Problem{Reason: v.Reason, Message: v.Message})
}

func (m *machine) stall(reason, format string, args ...any) {
	m.out.Stalled = &world.Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// automatic lists the steps that have a deadline.
var automatic = map[v1alpha1.Step]bool{
	v1alpha1.StepScaling: true, v1alpha1.StepVerifying: true, v1alpha1.StepSwitching: true, v1alpha1.StepConfirming: true, v1alpha1.StepHandover: true,
}

// enter proposes the next step. Its acts follow in the next round, when the step is persisted.
func (m *machine) enter(step v1alpha1.Step, format string, args ...any) {
	r := m.next.Rollout
	from := r.Step
	r.Step, r.StepEnteredAt, r.Deadline = step, m.stamp(), nil
	r.Message = fmt.Sprintf(format, args...)
	r.Steps = append(r.Steps, v1alpha1.StepRecord{Step: step, At: metav1.NewMicroTime(m.now)})
	if len(r.Steps) > 32 {
		r.Steps = r.Steps[len(r.Steps)-32:]
	}
	if automatic[step] {
		r.Deadline = m.after(m.allowance(step))
	}
	m.event(step == v1alpha1.StepAborting || step == v1alpha1.StepRollingBack, string(step), "%s → %s: %s", from, step, r.Message)
}

// allowance is how long a step may take.
func (m *machine) allowance(step v1alpha1.Step) time.Duration {
	switch step {
	case v1alpha1.StepConfirming:
		return m.policy.Progress + m.policy.Confirm
	case v1alpha1.StepHandover:
		return m.policy.Progress + m.policy.WorkerDrain
	default:
		return m.policy.Progress
	}
}

// superseded is true when the spec no longer asks for what this rollout leads to.
func (m *machine) superseded() bool {
	return m.w.Target.Revision != "" && m.w.Target.Revision != m.was.Rollout.ToRevision
}

// subject is what guards judge about one revision.
func (m *machine) subject(mover *v1alpha1.RevisionStatus) guard.Subject {
	s := guard.Subject{World: m.w, Status: m.was, Now: m.now, Required: map[v1alpha1.ComponentName]int32{}}
	if mover != nil {
		s.Mover = *mover
	}
	for _, c := range m.routed() {
		s.Required[c] = m.floor(c)
	}
	return s
}

// routed lists the components that have a live route.
func (m *machine) routed() []v1alpha1.ComponentName {
	if m.policy.Frontend {
		return world.Routed
	}
	return []v1alpha1.ComponentName{v1alpha1.API}
}

// components lists the components that run.
func (m *machine) components() []v1alpha1.ComponentName {
	return append(append([]v1alpha1.ComponentName{}, m.routed()...), v1alpha1.Worker)
}

// recorded is the first of the times that the status holds. One that somebody has taken out of it counts as long past.
func recorded(times ...*metav1.Time) time.Time {
	for _, t := range times {
		if t != nil {
			return t.Time
		}
	}
	return time.Time{}
}
