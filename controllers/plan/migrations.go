package plan

import (
	"fmt"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/guard"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// A migration Job tells its plan before it begins, and runs what takes something away only when it was started with the approval of
// exactly that. One that lacks it runs nothing, and another attempt is made once there is one.

// about is a migration that is about to begin.
func (m *machine) about(p Purpose) *v1alpha1.MigrationStatus {
	if m.policy.OwnMigrations {
		return &v1alpha1.MigrationStatus{Result: v1alpha1.MigrationSkipped}
	}
	return &v1alpha1.MigrationStatus{JobName: m.job(p), Result: v1alpha1.MigrationRunning}
}

// migrating: run the expand migrations under the full load of the active color.
func (m *machine) migrating() {
	ensure := m.ensureJob(Expand, "")
	job, exists := m.w.Jobs[JobName(m.w.Instance.Name, ensure)]
	switch {
	case !exists || job.Phase == world.JobActive:
		m.migrate(ensure, job, exists)
	case job.Phase == world.JobFailed:
		m.migrationFailed(job)
	default:
		m.migrated(job)
	}
}

// migrate starts the Job, or waits for it. One that has begun is awaited even when its revision is no longer wanted; one whose image never
// came has not begun.
func (m *machine) migrate(ensure Ensure, job world.Job, exists bool) {
	if (!exists || job.Unstarted) && m.turnedBack() {
		return
	}
	if !exists && m.policy.OwnMigrations {
		m.next.Rollout.Migration = m.about(Expand)
		m.captureFloor()
		m.enter(v1alpha1.StepScaling, "migrations are yours; starting revision %s in %s", m.was.Rollout.ToRevision, lower(m.was.Candidate.Color))
		return
	}
	if v := guard.NoOtherMigration(m.subject(m.was.Candidate)); !exists && !v.OK {
		m.hold(v)
		return
	}
	m.add(ensure)
	m.next.Rollout.Migration = m.running(Expand, job)
	m.hold(guard.Verdict{Reason: "Migrating", Message: "migration Job " + JobName(m.w.Instance.Name, ensure) + waiting(job)})
}

// running is a migration that has not ended, with its plan as soon as that is told.
func (m *machine) running(p Purpose, job world.Job) *v1alpha1.MigrationStatus {
	job.Name, job.Phase = m.job(p), world.JobActive
	return readFacts(job.Plan).status(job)
}

func waiting(job world.Job) string {
	facts := readFacts(job.Message)
	switch {
	case job.Waiting != "":
		return " waits: " + job.Waiting
	case facts.Error != "":
		return " tries again: " + facts.Error
	default:
		return " is running"
	}
}

func (m *machine) migrated(job world.Job) {
	facts := readFacts(job.Message)
	m.next.Rollout.Migration = facts.status(job)
	m.next.Schema = facts.schema(m.was, m.was.Rollout.ToRevision)
	if m.turnedBack() {
		return
	}
	m.captureFloor()
	m.enter(v1alpha1.StepScaling, "schema level %d; starting revision %s in %s", m.next.Schema.Current, m.was.Rollout.ToRevision, lower(m.was.Candidate.Color))
}

func (m *machine) migrationFailed(job world.Job) {
	facts := factsOf(job)
	m.next.Rollout.Migration = facts.status(job)
	switch {
	case !facts.Unapproved:
		m.abort(v1alpha1.OutcomeAborted, facts.reason(), fmt.Sprintf("migration Job %s failed: %s", job.Name, facts.failure(job)))
	case !m.policy.MayDestroy:
		m.abort(v1alpha1.OutcomeAborted, facts.reason(), fmt.Sprintf("migration %s takes something away and spec.rollout.migration.destructive is Never: %s", facts.Approve, remedy(facts.Approve)))
	case m.turnedBack():
	case m.policy.MigrationApproved == facts.Approve:
		m.approved(Expand)
	default:
		m.hold(guard.Verdict{Reason: "AwaitingApproval", Message: fmt.Sprintf("migration %s takes something away: set spec.rollout.migration.approvedMigration to %s to run it", facts.Approve, facts.Approve)})
	}
}

func remedy(migration string) string {
	return fmt.Sprintf("set it to WhenApproved and spec.rollout.migration.approvedMigration to %s to run it", migration)
}

// approved makes another attempt, whose Job carries the approval.
func (m *machine) approved(p Purpose) {
	r := m.next.Rollout
	r.Attempt++
	r.ID = fmt.Sprintf("%s-%d", r.ToRevision, r.Attempt)
	running := &v1alpha1.MigrationStatus{JobName: JobName(m.w.Instance.Name, Ensure{Purpose: p, Revision: r.ToRevision, Attempt: r.Attempt}), Result: v1alpha1.MigrationRunning}
	if p == Expand {
		r.Migration = running
	} else {
		r.Contract = running
	}
	m.event(false, "MigrationApproved", "migration %s is approved", m.policy.MigrationApproved)
}

// contracting: remove what only the previous revision needed. A failure leaves a schema that still fits and is told, not undone; so does a
// contract that nobody has approved.
func (m *machine) contracting() {
	ensure := m.ensureJob(Contract, "")
	job, exists := m.w.Jobs[JobName(m.w.Instance.Name, ensure)]
	switch {
	case !exists && m.policy.OwnMigrations:
		m.next.Rollout.Contract = m.about(Contract)
		m.finish()
	case !exists || job.Phase == world.JobActive:
		if v := guard.NoOtherMigration(m.subject(m.was.Active)); !exists && !v.OK {
			m.hold(v)
			return
		}
		m.add(ensure)
		m.next.Rollout.Contract = m.running(Contract, job)
	case job.Phase == world.JobFailed:
		m.contractFailed(job)
	default:
		facts := readFacts(job.Message)
		m.next.Rollout.Contract = facts.status(job)
		m.next.Schema = facts.schema(m.was, m.was.Rollout.ToRevision)
		m.finish()
	}
}

func (m *machine) contractFailed(job world.Job) {
	facts := factsOf(job)
	m.next.Rollout.Contract = facts.status(job)
	switch {
	case !facts.Unapproved:
		m.event(true, "ContractFailed", "contract migration Job %s failed: %s", job.Name, facts.failure(job))
	case m.policy.MigrationApproved == facts.Approve:
		m.approved(Contract)
		return
	default:
		m.next.Schema = facts.schema(m.was, m.was.Rollout.ToRevision)
		m.event(false, "ContractAwaitsApproval", "migration %s takes something away and was not run; to run it, set spec.rollout.migration.destructive to WhenApproved and approvedMigration to it", facts.Approve)
	}
	m.finish()
}

// contractLater runs a contract of the active revision that was approved after its rollout. One that fails is tried again with a token.
func (m *machine) contractLater(a *v1alpha1.RevisionStatus) {
	s, was := m.was.Schema, m.was.Rollout
	if s == nil || len(s.AwaitingApproval) == 0 || m.policy.OwnMigrations || m.policy.MigrationApproved != s.AwaitingApproval[len(s.AwaitingApproval)-1] {
		return
	}
	failed := was.Contract != nil && was.Contract.Result == v1alpha1.MigrationFailed
	if failed && was.Trigger == v1alpha1.TriggerApproval && was.RetryToken == m.policy.RetryToken {
		return
	}
	attempt := m.attempts(a.Revision) + 1
	m.next.Rollout = &v1alpha1.RolloutStatus{
		ID: fmt.Sprintf("%s-%d", a.Revision, attempt), Attempt: attempt, Epoch: was.Epoch, Step: v1alpha1.StepStable, StartedAt: m.stamp(),
		FromRevision: a.Revision, ToRevision: a.Revision, RetryToken: m.policy.RetryToken, Trigger: v1alpha1.TriggerApproval,
		Floor: was.Floor, FloorUntil: was.FloorUntil, VerifiedAt: was.VerifiedAt, Checks: was.Checks,
		Contract: &v1alpha1.MigrationStatus{
			JobName: JobName(m.w.Instance.Name, Ensure{Purpose: Contract, Revision: a.Revision, Attempt: attempt}), Result: v1alpha1.MigrationRunning,
		},
	}
	m.enter(v1alpha1.StepContracting, "migration %s is approved", m.policy.MigrationApproved)
}
