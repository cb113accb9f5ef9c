package plan

import (
	"fmt"
	"slices"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// stable: keep the children as they are, and start a rollout when the spec asks for another revision.
func (m *machine) stable() {
	m.collect()
	if a := m.was.Active; a != nil && !m.policy.Hibernated {
		if m.clear(world.Other(a.Color), "") { // of a rollout that the status has forgotten
			return
		}
	}
	target := m.w.Target
	if m.policy.Hibernated || target.Revision == "" {
		m.reportMissing()
		return
	}
	if a := m.was.Active; a != nil && a.Revision == target.Revision {
		m.contractLater(a)
		return
	}
	if m.failedBefore(target.Revision) {
		f, remedy := m.was.LastFailure, "change the spec"
		if target.SecretsOnly {
			remedy = "put the changed Secret right, which running pods read too"
		}
		m.stall(f.Reason, "%s; %s, or set spec.rollout.retryToken to try revision %s again", f.Message, remedy, f.Revision)
		return
	}
	if v := guard.ToGoBack.Check(m.subject(&v1alpha1.RevisionStatus{Revision: target.Revision})); !v.OK {
		m.stall(v.Reason, "%s", v.Message) // its pods would never get ready
		return
	}
	m.begin()
}

func (m *machine) reportMissing() {
	if v := guard.ReferencesResolve(m.subject(nil)); !v.OK {
		m.hold(v)
	}
}

// failedBefore is true when this revision failed and nobody has asked to try again.
func (m *machine) failedBefore(revision string) bool {
	f := m.was.LastFailure
	return f != nil && f.Revision == revision && f.RetryToken == m.policy.RetryToken
}

func (m *machine) begin() {
	target, attempt := m.w.Target, m.attempts(m.w.Target.Revision)+1
	var from string
	color := v1alpha1.Blue
	if a := m.was.Active; a != nil {
		from, color = a.Revision, world.Other(a.Color)
	}
	m.next.Candidate = &v1alpha1.RevisionStatus{Color: color, Revision: target.Revision, Version: target.Version, Since: m.stamp()}
	m.next.Rollout = &v1alpha1.RolloutStatus{
		ID: fmt.Sprintf("%s-%d", target.Revision, attempt), Attempt: attempt, Epoch: m.was.Rollout.Epoch, Step: v1alpha1.StepStable,
		StartedAt: m.stamp(), FromRevision: from, ToRevision: target.Revision, RetryToken: m.policy.RetryToken, Trigger: m.trigger(),
	}
	m.enter(v1alpha1.StepPreparing, "version %s, revision %s, in %s", target.Version, target.Revision, lower(color))
}

func (m *machine) trigger() v1alpha1.Trigger {
	switch {
	case m.was.Active == nil:
		return v1alpha1.TriggerInstall
	case m.was.LastFailure != nil && m.was.LastFailure.Revision == m.w.Target.Revision:
		return v1alpha1.TriggerRetry
	case m.w.Target.SecretsOnly:
		return v1alpha1.TriggerSecretChange
	default:
		return v1alpha1.TriggerSpecChange
	}
}

// attempts counts the earlier tries of a revision, from every record that is left of them.
func (m *machine) attempts(revision string) int32 {
	var n int32
	for _, h := range m.was.History {
		if h.Revision == revision {
			n++
		}
	}
	if r := m.was.Rollout; r.ToRevision == revision {
		n = max(n, r.Attempt)
	}
	if f := m.was.LastFailure; f != nil && f.Revision == revision {
		n = max(n, f.Attempt)
	}
	return m.forgotten(revision, n)
}

// forgotten counts attempts on, by what Jobs show of those whose record was lost with a status: one that runs is taken up again, one that
// failed would fail the next attempt with its past.
func (m *machine) forgotten(revision string, n int32) int32 {
	const ahead = 8
	phase := func(p Purpose, attempt int32) world.JobPhase {
		return m.w.Jobs[JobName(m.w.Instance.Name, Ensure{Purpose: p, Revision: revision, Attempt: attempt})].Phase
	}
	for attempt := n + 1; attempt <= n+ahead; attempt++ {
		if phase(Expand, attempt) == world.JobActive {
			return attempt - 1
		}
	}
	for phase(Expand, n+1) == world.JobFailed || phase(WorkerCheck, n+1) == world.JobFailed {
		n++
	}
	return n
}

// preparing: store the candidate's templates and configuration, and empty its color.
func (m *machine) preparing() {
	if m.turnedBack() {
		return
	}
	c := m.was.Candidate
	m.clear(c.Color, c.Revision)
	if v := guard.ToMigrating.Check(m.subject(c)); !v.OK {
		m.hold(v)
		return
	}
	m.next.Rollout.Migration = m.about(Expand)
	m.enter(v1alpha1.StepMigrating, "expand migrations of revision %s", c.Revision)
}

// clear takes pods out of a color that are not of the revision it is for, once no user is led to them. It returns whether some are being taken.
func (m *machine) clear(color v1alpha1.Color, revision string) (busy bool) {
	for _, component := range world.Components {
		w := m.w.Workloads[world.Slot{Component: component, Color: color}]
		if !w.Exists || w.Revision == revision && w.OthersReady(revision) == 0 {
			continue
		}
		if v := m.deserted(v1alpha1.RevisionStatus{Color: color}); !v.OK {
			m.hold(v)
			return busy
		}
		busy = m.empty(color, component) || busy
	}
	return busy
}

// deserted judges whether no user is led to a revision in its color, nor to any other pods that somebody has brought up there. What the
// active color serves is not theirs, even under the same revision.
func (m *machine) deserted(r v1alpha1.RevisionStatus) guard.Verdict {
	judged := map[string]bool{"": true}
	if a := m.was.Active; a != nil && a.Color != r.Color {
		judged[a.Revision] = true
	}
	judge := func(revision string) guard.Verdict {
		if judged[revision] {
			return guard.Verdict{OK: true}
		}
		judged[revision] = true
		return guard.ToScaleDown.Check(m.subject(&v1alpha1.RevisionStatus{Color: r.Color, Revision: revision}))
	}
	if v := judge(r.Revision); !v.OK {
		return v
	}
	for _, component := range world.Components {
		for _, p := range m.w.Workloads[world.Slot{Component: component, Color: r.Color}].Pods {
			if v := judge(p.Revision); !v.OK {
				return v
			}
		}
	}
	return guard.Verdict{OK: true}
}

func (m *machine) job(p Purpose) string {
	return JobName(m.w.Instance.Name, m.ensureJob(p, ""))
}

func (m *machine) ensureJob(p Purpose, check string) Ensure {
	e := Ensure{Kind: Job, Purpose: p, Check: check, Revision: m.was.Rollout.ToRevision, Attempt: m.was.Rollout.Attempt}
	if p == Expand || p == Contract {
		e.Approve = m.policy.MigrationApproved
	}
	return e
}

// turnedBack ends a rollout before its switch when the spec no longer asks for it.
func (m *machine) turnedBack() bool {
	switch {
	case m.policy.Hibernated:
		m.abort(v1alpha1.OutcomeSuperseded, "Hibernated", "the instance is to be hibernated")
	case m.superseded():
		m.abort(v1alpha1.OutcomeSuperseded, "Superseded", fmt.Sprintf("the spec asks for revision %s now", m.w.Target.Revision))
	default:
		return false
	}
	return true
}

func (m *machine) abort(outcome v1alpha1.Outcome, reason, message string) {
	m.next.Rollout.Outcome, m.next.Rollout.Reason = outcome, reason
	m.enter(v1alpha1.StepAborting, "%s", message)
}

// scaling: bring the candidate to the capacity that the active color has now.
func (m *machine) scaling() {
	if m.turnedBack() {
		return
	}
	m.captureFloor()
	m.add(m.ensureJob(WorkerCheck, ""))
	if m.w.Quota != nil {
		m.out.Holds = append(m.out.Holds, *m.w.Quota)
	}
	v := guard.ToVerifying.Check(m.subject(m.was.Candidate))
	if v.OK {
		m.enter(v1alpha1.StepVerifying, "%s is up; checking it", lower(m.was.Candidate.Color))
		return
	}
	m.hold(v)
	if m.due(m.was.Rollout.Deadline) {
		if m.w.Quota != nil {
			v.Message += ": " + m.w.Quota.Message
		}
		m.abort(v1alpha1.OutcomeAborted, "ProgressDeadlineExceeded", "the candidate did not become ready in time: "+v.Message)
	}
}

// verifying: check the candidate while nobody depends on it.
func (m *machine) verifying() {
	if m.turnedBack() {
		return
	}
	m.captureFloor()
	s := m.subject(m.was.Candidate)
	s.Checks = m.examine(v1alpha1.CheckPrePromotion)
	if failed := m.failedCheck(s.Checks); failed != nil {
		m.abort(v1alpha1.OutcomeAborted, "CheckFailed", failed.Message)
		return
	}
	v := guard.ToAwaiting.Check(s)
	if v.OK {
		m.enter(v1alpha1.StepAwaitingPromotion, "all checks passed")
		return
	}
	m.hold(v)
	if m.due(m.was.Rollout.Deadline) {
		m.abort(v1alpha1.OutcomeAborted, "ProgressDeadlineExceeded", "the candidate was not verified in time: "+v.Message)
	}
}

// awaitingPromotion: keep the candidate warm until a person, or the delay, lets it through. It has no deadline.
func (m *machine) awaitingPromotion() {
	if m.turnedBack() {
		return
	}
	m.captureFloor()
	r := m.was.Rollout
	if m.policy.Manual && m.policy.Approved != r.ToRevision {
		m.hold(guard.Verdict{Reason: "AwaitingApproval", Message: "set spec.rollout.promotion.approvedRevision to " + r.ToRevision + " to promote it"})
		return
	}
	if at := recorded(r.StepEnteredAt).Add(m.policy.PromoteDelay); !m.policy.Manual && m.now.Before(at) {
		m.wake(at)
		return
	}
	if v := guard.ToSwitching.Check(m.subject(m.was.Candidate)); !v.OK {
		m.hold(v)
		return
	}
	m.next.Rollout.Epoch++
	m.enter(v1alpha1.StepSwitching, "moving traffic to %s, epoch %d", lower(m.was.Candidate.Color), m.next.Rollout.Epoch)
}

// switching: one write per live route, made by routes. It ends when all of them show the candidate.
func (m *machine) switching() {
	c, a := m.was.Candidate, m.was.Active
	if !m.led(c) {
		m.unfinishedSwitch()
		return
	}
	active := c.DeepCopy()
	active.Since = m.stamp()
	m.next.Active, m.next.Previous, m.next.Candidate = active, a.DeepCopy(), nil
	m.next.Rollout.SwitchedAt = m.stamp()
	m.enter(v1alpha1.StepConfirming, "traffic goes to %s %s", lower(c.Color), c.Revision)
}

// unfinishedSwitch decides about a switch that cannot be completed: with no route moved it is an ordinary abort; with one moved, users are
// on two versions, which only going back can end.
func (m *machine) unfinishedSwitch() {
	c := m.was.Candidate
	if !m.anyLed(c) && !m.moving() && m.turnedBack() {
		return
	}
	if !m.due(m.was.Rollout.Deadline) {
		return
	}
	if !m.anyLed(c) {
		m.abort(v1alpha1.OutcomeAborted, "SwitchFailed", "the candidate was no longer ready when traffic was to move")
		return
	}
	if m.was.Active == nil {
		m.stall("SwitchFailed", "the first revision cannot take all traffic")
		return
	}
	if v := guard.ToGoBack.Check(m.subject(m.was.Active)); !v.OK {
		m.stall("RollbackRefused", "only a part of the traffic could be moved; %s", v.Message)
		return
	}
	bad := c.DeepCopy()
	m.next.Previous, m.next.Active, m.next.Candidate = m.was.Active.DeepCopy(), bad, nil
	m.next.Rollout.Epoch++
	m.next.Rollout.Outcome, m.next.Rollout.Reason = v1alpha1.OutcomeRolledBack, "SwitchFailed"
	m.enter(v1alpha1.StepRollingBack, "only a part of the traffic could be moved")
}

// moving is true when this round moves a route.
func (m *machine) moving() bool {
	return slices.ContainsFunc(m.out.Writes, func(w Write) bool {
		e, ok := w.(Ensure)
		return ok && e.Moves
	})
}
