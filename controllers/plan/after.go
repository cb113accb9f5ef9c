package plan

import (
	"fmt"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// confirming: watch real traffic on the new revision while the old one stands by at full capacity.
func (m *machine) confirming() {
	if m.reverted() {
		return
	}
	checks := m.examine(v1alpha1.CheckPostPromotion)
	if failed := m.failedCheck(checks); failed != nil {
		m.undo("CheckFailed", failed.Message)
		return
	}
	s := m.subject(m.was.Active)
	s.Checks = checks
	v := guard.ToHandover.Check(s)
	end := recorded(m.was.Rollout.SwitchedAt, m.was.Rollout.StepEnteredAt).Add(m.policy.Confirm)
	switch {
	case v.OK && !m.now.Before(end):
		m.next.Rollout.VerifiedAt = m.stamp()
		m.enter(v1alpha1.StepHandover, "confirmed; handing the queue over")
		return
	case v.OK:
		m.wake(end)
	default:
		m.hold(v)
	}
	if !m.due(m.was.Rollout.Deadline) {
		return
	}
	if m.onlyUnseen(checks) {
		m.stall("ChecksInconclusive", "%s; users stay where they are until it can be asked: revert the spec to go back", v.Message)
		m.heed("ChecksInconclusive", v.Message)
		return
	}
	m.undo("ProgressDeadlineExceeded", "the new revision was not confirmed in time: "+v.Message)
}

// onlyUnseen is true when nothing is held against the active revision, but for queries that nobody answers: a Prometheus that is away says
// nothing about it.
func (m *machine) onlyUnseen(ids map[string]string) bool {
	queries := map[string]bool{}
	for _, p := range m.out.Probes {
		queries[p.ID] = p.Protocol == Prometheus
	}
	unseen := 0
	for id := range ids {
		switch result := m.w.Findings[id].Result; {
		case result == v1alpha1.CheckPassed:
		case result == v1alpha1.CheckInconclusive && queries[id]:
			unseen++
		default:
			return false
		}
	}
	return unseen > 0
}

// reverted starts a fast rollback when the spec asks for the previous revision again.
func (m *machine) reverted() bool {
	p := m.was.Previous
	if p == nil || m.w.Target.Revision != p.Revision {
		return false
	}
	if !m.rollBack("Reverted", "the spec asks for revision "+p.Revision+" again") {
		return false
	}
	m.next.Rollout.Trigger = v1alpha1.TriggerRollback
	return true
}

// undo answers a failure after the switch as the spec wants it. Once the spec asks for something else again, a person has decided: the
// machine goes back if it can, and else makes room for what is asked for.
func (m *machine) undo(reason, message string) {
	switch {
	case m.was.Previous == nil:
		m.stall(reason, "%s; there is no previous revision to go back to: change the spec, or set spec.rollout.retryToken to check it again", message)
	case m.policy.HoldOnFailure && !m.superseded():
		m.stall(reason, "%s; spec.rollout.onFailure is Hold: revert the spec to go back, or set spec.rollout.retryToken to check it again", message)
	default:
		m.rollBack(reason, message)
	}
	m.heed(reason, message)
}

// heed answers what the spec says by now about a rollout that is stuck.
func (m *machine) heed(reason, message string) {
	switch {
	case m.out.Stalled == nil:
	case m.superseded():
		m.makeWay(reason, message)
	case m.policy.RetryToken != m.was.Rollout.RetryToken:
		m.checkAgain(m.was.Rollout.Step)
	}
}

// checkAgain begins a step after the switch anew as another attempt: a check that has failed stays so in the old one.
func (m *machine) checkAgain(step v1alpha1.Step) {
	m.out.Stalled = nil
	r := m.next.Rollout
	r.Outcome, r.Reason = "", ""
	r.RetryToken = m.policy.RetryToken
	r.Attempt++
	r.ID = fmt.Sprintf("%s-%d", r.ToRevision, r.Attempt)
	m.enter(step, "checking revision %s again", r.ToRevision)
}

// makeWay gives a failed revision up without going back: it keeps the users until the revision that the spec asks for now, which needs the
// other color, can take them.
func (m *machine) makeWay(reason, message string) {
	m.out.Stalled = nil
	m.next.Rollout.Outcome, m.next.Rollout.Reason = v1alpha1.OutcomeAborted, reason
	m.enter(v1alpha1.StepRetiring, "%s", message)
}

// rollBack enters RollingBack unless the schema forbids it.
func (m *machine) rollBack(reason, message string) bool {
	if v := guard.ToGoBack.Check(m.subject(m.was.Previous)); !v.OK {
		m.stall("RollbackRefused", "%s; %s", message, v.Message)
		return false
	}
	m.next.Rollout.Epoch++
	m.next.Rollout.Outcome, m.next.Rollout.Reason = v1alpha1.OutcomeRolledBack, reason
	m.enter(v1alpha1.StepRollingBack, "%s", message)
	return true
}

// handover: the new workers start, then the old ones drain.
func (m *machine) handover() {
	if m.reverted() {
		return
	}
	late := m.due(m.was.Rollout.Deadline)
	switch ready := m.newWorkersReady(); {
	case ready && m.workersOf(m.was.Previous) == 0, ready && late:
		m.retain()
	case late:
		m.undo("WorkersNotReady", "the new workers did not become ready in time"+m.workerComplaints())
	case !ready:
		m.hold(guard.Verdict{Reason: "WorkersStarting", Message: "waiting for the new workers" + m.workerComplaints()})
	default:
		m.hold(guard.Verdict{Reason: "WorkersDraining", Message: fmt.Sprintf("%d old workers finish or hand back their tasks", m.workersOf(m.was.Previous))})
	}
}

func (m *machine) workerComplaints() string {
	a := m.was.Active
	for _, p := range m.w.Workloads[world.Slot{Component: v1alpha1.Worker, Color: a.Color}].Pods {
		if p.Revision != a.Revision || p.Ready {
			continue
		}
		for _, complaint := range []string{p.Unschedulable, p.Waiting} {
			if complaint != "" {
				return ": " + complaint
			}
		}
	}
	return ""
}

func (m *machine) retain() {
	m.next.Rollout.FloorUntil = m.after(floorDecay)
	if p := m.next.Previous; p != nil {
		p.RetainedUntil = m.after(m.policy.Retention)
		m.enter(v1alpha1.StepRetaining, "revision %s stays warm until %s", p.Revision, p.RetainedUntil.UTC().Format("15:04:05"))
		return
	}
	m.enter(v1alpha1.StepRetiring, "nothing to retire")
}

// retaining: the previous revision stays warm; reverting the spec switches back at once.
func (m *machine) retaining() {
	p := m.was.Previous
	if p == nil {
		m.enter(v1alpha1.StepRetiring, "nothing to retire")
		return
	}
	if m.reverted() {
		return
	}
	over := m.due(p.RetainedUntil)
	if !over && !m.superseded() && !m.policy.Hibernated {
		return
	}
	if v := m.deserted(*p); !v.OK {
		m.hold(v)
		return
	}
	m.enter(v1alpha1.StepRetiring, "taking revision %s down", p.Revision)
}

// retiring: take the previous color down, the frontend before the API it calls.
func (m *machine) retiring() {
	p := m.was.Previous
	if p == nil {
		m.retired()
		return
	}
	if v := m.deserted(*p); !v.OK {
		m.hold(v)
		return
	}
	m.empty(p.Color, v1alpha1.Worker, v1alpha1.Frontend)
	if w := m.w.Workloads[world.Slot{Component: v1alpha1.Frontend, Color: p.Color}]; w.Replicas > 0 || len(w.Pods) > 0 && w.Ready(p.Revision) > 0 {
		return
	}
	m.empty(p.Color, v1alpha1.API)
	if m.emptied(p.Color) {
		m.retired()
	}
}

// retired ends the retirement. Of a revision that failed the database keeps what the one before needed.
func (m *machine) retired() {
	switch {
	case m.was.Rollout.Outcome != "":
		m.next.Previous = nil
		m.settle()
	case m.was.Previous == nil:
		m.finish()
	default:
		m.next.Rollout.Contract = m.about(Contract)
		m.next.Previous = nil
		m.enter(v1alpha1.StepContracting, "contract migrations of revision %s", m.was.Rollout.ToRevision)
	}
}

// finish records a promotion; a contract that came later is none.
func (m *machine) finish() {
	if m.was.Rollout.Trigger != v1alpha1.TriggerApproval {
		m.next.LastFailure = nil
		m.record(v1alpha1.OutcomePromoted, "", "")
	}
	m.enter(v1alpha1.StepStable, "revision %s is active", m.was.Rollout.ToRevision)
}

// aborting: take a candidate down that users no longer reach, or never did. A migration that runs is awaited.
func (m *machine) aborting() {
	c := m.was.Candidate
	if c == nil {
		m.settle()
		return
	}
	if m.anyLed(c) && !m.canReturn() {
		// An overtaken leader or a person has moved users here, and nothing else could serve them.
		m.next.Rollout.Epoch++
		m.enter(v1alpha1.StepSwitching, "users reach %s already", c.Revision)
		return
	}
	if v := m.deserted(*c); !v.OK {
		m.hold(v)
		return
	}
	if m.was.Rollout.Outcome == v1alpha1.OutcomeRolledBack && m.was.Rollout.SwitchedAt != nil && !m.returned() {
		return
	}
	m.empty(c.Color, world.Components...)
	if !m.emptied(c.Color) {
		return
	}
	if job, ok := m.w.Jobs[m.job(Expand)]; ok && job.Phase == world.JobActive {
		if job.Unstarted {
			m.add(Delete{Kind: Job, Name: job.Name, Identity: job.Identity})
		}
		m.hold(guard.Verdict{Reason: "MigrationRunning", Message: "waiting for migration Job " + job.Name + " to end"})
		return
	}
	m.settle()
}

// returned is true once users are known to be back: fresh connections through the live routes answer with the active revision, or have not
// done so for the whole deadline, though no route leads elsewhere; and proxies on other nodes, which may follow a little later, had their time.
func (m *machine) returned() bool {
	r := m.was.Rollout
	if r.VerifiedAt == nil {
		checks := m.listen(m.liveProbes(), map[string]string{})
		s := m.subject(m.was.Active)
		s.Checks = checks
		switch v := guard.ToHandover.Check(s); {
		case v.OK:
			m.next.Rollout.VerifiedAt = m.stamp()
		case !m.due(r.Deadline):
			m.hold(v)
			return false
		}
	}
	if at := recorded(r.SwitchedAt, r.StepEnteredAt).Add(m.policy.Propagation); m.now.Before(at) {
		m.wake(at)
		return false
	}
	return true
}

// canReturn is false where there is no active revision, or one that the schema has left behind.
func (m *machine) canReturn() bool {
	return m.was.Active != nil && guard.ToGoBack.Check(m.subject(m.was.Active)).OK
}

// settle records a rollout that did not promote. A failure is remembered, so that it is not tried again by itself; what a person has
// turned back is not a failure.
func (m *machine) settle() {
	r := m.was.Rollout
	outcome := r.Outcome
	if outcome == "" {
		outcome = v1alpha1.OutcomeAborted
	}
	if outcome != v1alpha1.OutcomeSuperseded && r.Reason != "Reverted" {
		m.next.LastFailure = &v1alpha1.FailureStatus{
			Revision: r.ToRevision, Attempt: r.Attempt, RetryToken: m.policy.RetryToken, Step: m.failedStep(), Reason: r.Reason, Message: r.Message, At: m.stamp(),
		}
		if c := m.was.Candidate; c != nil {
			m.next.LastFailure.Version = c.Version
		}
	}
	m.record(outcome, r.Reason, r.Message)
	m.next.Candidate = nil
	m.enter(v1alpha1.StepStable, "%s: %s", outcome, r.Message)
}

// failedStep is the last step of the straight path that the rollout was in.
func (m *machine) failedStep() v1alpha1.Step {
	steps := m.was.Rollout.Steps
	for i := len(steps) - 1; i >= 0; i-- {
		if s := steps[i].Step; s != v1alpha1.StepAborting && s != v1alpha1.StepRollingBack {
			return s
		}
	}
	return v1alpha1.StepPreparing
}

// rollingBack: one write per live route, made by routes; then the colors change places and the bad one is taken down.
func (m *machine) rollingBack() {
	p, a := m.was.Previous, m.was.Active
	if p == nil || a == nil {
		m.stall("RollbackImpossible", "there is no previous revision to go back to")
		return
	}
	if !m.led(p) || !m.canGoBack() {
		m.unfinishedRollback(p, a)
		return
	}
	good, bad := p.DeepCopy(), a.DeepCopy()
	good.Since, good.RetainedUntil = m.stamp(), nil
	m.next.Active, m.next.Candidate, m.next.Previous = good, bad, nil
	m.next.Rollout.SwitchedAt, m.next.Rollout.VerifiedAt = m.stamp(), nil
	m.forgetLive()
	m.enter(v1alpha1.StepAborting, "%s", m.was.Rollout.Message)
	m.next.Rollout.Deadline = m.after(m.policy.Progress)
}

// rollBackAllowed judges whether the previous revision may have the users back: it can still run, and it is up.
func rollBackAllowed(s guard.Subject) guard.Verdict {
	if v := guard.ToGoBack.Check(s); !v.OK {
		return v
	}
	return guard.ToRollBack.Check(s)
}

// unfinishedRollback decides about a rollback that waits. When it has become impossible, or a person asks to look again while users are
// still where they were, it stays with the active revision; when neither can serve and another is asked for, that one gets the other color.
func (m *machine) unfinishedRollback(p, a *v1alpha1.RevisionStatus) {
	v, impossible := rollBackAllowed(m.subject(p)), !m.canGoBack()
	retry := m.policy.RetryToken != m.was.Rollout.RetryToken
	switch {
	case v.OK: // the routes are moved in this round
	case m.led(a) && (impossible || retry):
		m.stay()
	case impossible && rollBackAllowed(m.subject(a)).OK:
		m.hold(v) // until what has moved is led back, which this round does
	case m.superseded() && m.w.Target.Revision != p.Revision && !m.anyLed(p):
		m.makeWay(v.Reason, "neither color can serve: "+v.Message)
	default:
		m.stall("RollbackWaits", "traffic stays where it is until the previous revision can take it: %s", v.Message)
	}
}

// stay takes a rollback back, and looks at the active revision again.
func (m *machine) stay() {
	if m.next.Rollout.SwitchedAt == nil {
		m.next.Rollout.SwitchedAt = m.stamp()
	}
	step := v1alpha1.StepConfirming
	if m.was.Rollout.VerifiedAt != nil {
		step = v1alpha1.StepHandover // its workers may have started
	}
	m.checkAgain(step)
}

// canGoBack is false where there is no previous revision, or one that the schema has left behind.
func (m *machine) canGoBack() bool {
	return m.was.Previous != nil && guard.ToGoBack.Check(m.subject(m.was.Previous)).OK
}

// record adds the rollout to the history, newest first.
func (m *machine) record(outcome v1alpha1.Outcome, reason, message string) {
	r := m.was.Rollout
	entry := v1alpha1.HistoryEntry{
		Revision: r.ToRevision, Version: m.version(r.ToRevision), Outcome: outcome, StartedAt: r.StartedAt, FinishedAt: m.stamp(), Reason: reason, Message: clip(message, 512),
	}
	history := append([]v1alpha1.HistoryEntry{entry}, m.was.History...)
	m.next.History = history[:min(len(history), m.historyLimit())]
}

func (m *machine) version(revision string) string {
	for _, r := range []*v1alpha1.RevisionStatus{m.was.Active, m.was.Candidate, m.was.Previous} {
		if r != nil && r.Revision == revision {
			return r.Version
		}
	}
	return m.w.Known[revision].Version
}

// collect deletes what no revision needs any more.
func (m *machine) collect() {
	for _, l := range m.w.Leftovers {
		m.add(Delete{Kind: Kind(l.Kind), Name: l.Name, Identity: l.Identity})
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-3] + "..."
}
