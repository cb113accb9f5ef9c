package model

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// sameStatus says whether two statuses say the same. It is written by hand because it runs once a round, some ten million times; a test
// changes every field in turn, so that a new one is not forgotten.
func sameStatus(a, b *v1alpha1.EngLogInstanceStatus) bool {
	return sameRevision(a.Active, b.Active) && sameRevision(a.Candidate, b.Candidate) && sameRevision(a.Previous, b.Previous) &&
		sameRollout(a.Rollout, b.Rollout) && sameFailure(a.LastFailure, b.LastFailure) && sameSchema(a.Schema, b.Schema) &&
		a.ObservedGeneration == b.ObservedGeneration && a.URL == b.URL && sameManaged(a.Managed, b.Managed) &&
		slices.EqualFunc(a.Conditions, b.Conditions, sameCondition) && slices.Equal(a.Components, b.Components) &&
		slices.Equal(a.Effective, b.Effective) && slices.Equal(a.Plan, b.Plan) && slices.EqualFunc(a.History, b.History, sameEntry)
}

func sameTime(a, b *metav1.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || a.Unix() == b.Unix()
}

func sameRevision(a, b *v1alpha1.RevisionStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Color == b.Color && a.Revision == b.Revision && a.Version == b.Version && slices.Equal(a.Images, b.Images) &&
		sameTime(a.Since, b.Since) && sameTime(a.RetainedUntil, b.RetainedUntil)
}

func sameRollout(a, b *v1alpha1.RolloutStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Step == b.Step && a.ID == b.ID && a.Attempt == b.Attempt && a.Epoch == b.Epoch && a.Trigger == b.Trigger &&
		a.FromRevision == b.FromRevision && a.ToRevision == b.ToRevision && a.RetryToken == b.RetryToken &&
		a.Outcome == b.Outcome && a.Reason == b.Reason && a.Message == b.Message && sameTimes(a, b) && sameFloor(a.Floor, b.Floor) &&
		sameMigration(a.Migration, b.Migration) && sameMigration(a.Contract, b.Contract) &&
		slices.EqualFunc(a.Checks, b.Checks, sameCheck) && slices.EqualFunc(a.Steps, b.Steps, sameRecord)
}

func sameTimes(a, b *v1alpha1.RolloutStatus) bool {
	return sameTime(a.StepEnteredAt, b.StepEnteredAt) && sameTime(a.Deadline, b.Deadline) && sameTime(a.StartedAt, b.StartedAt) &&
		sameTime(a.FloorUntil, b.FloorUntil) && sameTime(a.SwitchedAt, b.SwitchedAt) && sameTime(a.VerifiedAt, b.VerifiedAt)
}

func sameFloor(a, b *v1alpha1.CapacityFloor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameMigration(a, b *v1alpha1.MigrationStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.JobName == b.JobName && a.From == b.From && a.To == b.To && a.Result == b.Result && a.Message == b.Message &&
		slices.Equal(a.Pending, b.Pending) && slices.Equal(a.Destructive, b.Destructive)
}

func sameCheck(a, b v1alpha1.CheckStatus) bool {
	return a.Name == b.Name && a.Result == b.Result && a.Successes == b.Successes && a.Failures == b.Failures && a.Message == b.Message &&
		sameTime(a.At, b.At)
}

func sameRecord(a, b v1alpha1.StepRecord) bool {
	return a.Step == b.Step && a.At.Equal(&b.At)
}

func sameFailure(a, b *v1alpha1.FailureStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Revision == b.Revision && a.Version == b.Version && a.Attempt == b.Attempt && a.RetryToken == b.RetryToken &&
		a.Step == b.Step && a.Reason == b.Reason && a.Message == b.Message && sameTime(a.At, b.At)
}

func sameSchema(a, b *v1alpha1.SchemaStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Current == b.Current && a.OldestCompatible == b.OldestCompatible && a.LastMigratedRevision == b.LastMigratedRevision &&
		slices.Equal(a.Levels, b.Levels) && slices.Equal(a.AwaitingApproval, b.AwaitingApproval)
}

func sameManaged(a, b *v1alpha1.ManagedStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameCondition(a, b metav1.Condition) bool {
	return a.Type == b.Type && a.Status == b.Status && a.ObservedGeneration == b.ObservedGeneration && a.Reason == b.Reason &&
		a.Message == b.Message && sameTime(&a.LastTransitionTime, &b.LastTransitionTime)
}

func sameEntry(a, b v1alpha1.HistoryEntry) bool {
	return a.Revision == b.Revision && a.Version == b.Version && a.Outcome == b.Outcome && a.Reason == b.Reason && a.Message == b.Message &&
		sameTime(a.StartedAt, b.StartedAt) && sameTime(a.FinishedAt, b.FinishedAt)
}
