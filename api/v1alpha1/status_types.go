package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Color names one of the two fixed slots a revision runs in. Colors are the operator's business: they appear in status,
// never in spec.
// +kubebuilder:validation:Enum=Blue;Green
type Color string

// The two colors.
const (
	Blue  Color = "Blue"
	Green Color = "Green"
)

// Step is where a rollout stands. Outside a rollout it is Stable.
// +kubebuilder:validation:Enum=Stable;Preparing;Migrating;Scaling;Verifying;AwaitingPromotion;Switching;Confirming;Handover;Retaining;Retiring;Contracting;Aborting;RollingBack
type Step string

// The steps of a rollout, in the order of the straight path; Aborting ends one before the switch, RollingBack after it.
const (
	StepStable            Step = "Stable"
	StepPreparing         Step = "Preparing"
	StepMigrating         Step = "Migrating"
	StepScaling           Step = "Scaling"
	StepVerifying         Step = "Verifying"
	StepAwaitingPromotion Step = "AwaitingPromotion"
	StepSwitching         Step = "Switching"
	StepConfirming        Step = "Confirming"
	StepHandover          Step = "Handover"
	StepRetaining         Step = "Retaining"
	StepRetiring          Step = "Retiring"
	StepContracting       Step = "Contracting"
	StepAborting          Step = "Aborting"
	StepRollingBack       Step = "RollingBack"
)

// Condition types of an EngLogInstance.
const (
	// ConditionReady is True when the instance serves and what runs is what the spec asks for.
	ConditionReady = "Ready"
	// ConditionAvailable is True while users are served; it stays True through a cutover. Alerts use it.
	ConditionAvailable = "Available"
	// ConditionReconciling is True while the operator moves the instance towards its spec (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when nothing more happens without a person (kstatus).
	ConditionStalled = "Stalled"
	// ConditionRolledOut is True when the revision of the spec is the active one.
	ConditionRolledOut = "RolledOut"
	// ConditionMigrated is True when the database schema is the one the active revision's expand migrations lead to.
	ConditionMigrated = "Migrated"
	// ConditionTrafficVerified is True when fresh connections through the live route answered with the active revision.
	ConditionTrafficVerified = "TrafficVerified"
	// ConditionReferencesResolved is True when every Secret and key that the spec names exists.
	ConditionReferencesResolved = "ReferencesResolved"
	// ConditionSpecAccepted is True when the spec passed the checks that a CRD schema cannot express.
	ConditionSpecAccepted = "SpecAccepted"
)

// EngLogInstanceStatus is what was last observed. All of it but timers, attempts, epoch and history can be rebuilt from the
// cluster.
type EngLogInstanceStatus struct {
	// conditions are Ready, Available, Reconciling, Stalled, RolledOut, Migrated, TrafficVerified, ReferencesResolved and
	// SpecAccepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// url is where the instance answers: the first exposed host, or the API Service inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`

	// active is the revision that users are served by.
	// +optional
	Active *RevisionStatus `json:"active,omitempty"`

	// candidate is the revision that a rollout is bringing up. Absent when no rollout is under way, and after the switch.
	// +optional
	Candidate *RevisionStatus `json:"candidate,omitempty"`

	// previous is the revision that served before the active one and is still warm.
	// +optional
	Previous *RevisionStatus `json:"previous,omitempty"`

	// rollout is the rollout under way, or the last one that ended.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// lastFailure is the last revision that did not make it. The same revision is not tried again before
	// spec.rollout.retryToken changes.
	// +optional
	LastFailure *FailureStatus `json:"lastFailure,omitempty"`

	// schema is the database schema as the last migration Job reported it.
	// +optional
	Schema *SchemaStatus `json:"schema,omitempty"`

	// components lists the Deployments of the active and the candidate color with their pods.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +listMapKey=color
	// +kubebuilder:validation:MaxItems=6
	Components []ComponentStatus `json:"components,omitempty"`

	// effective is the configuration that results from the spec and the defaults of its environment, as name and value of
	// the variables that pods are given. Secrets are not in it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Effective []EffectiveSetting `json:"effective,omitempty"`

	// plan is what the operator would write next. Only filled with spec.reconciliation DryRun or Paused.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Plan []string `json:"plan,omitempty"`

	// managed records what cannot be changed later about Managed stores.
	// +optional
	Managed *ManagedStatus `json:"managed,omitempty"`

	// history lists finished rollouts, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	History []HistoryEntry `json:"history,omitempty"`
}

// RevisionStatus is one revision in one color.
type RevisionStatus struct {
	// color is the slot the revision runs in.
	// +required
	Color Color `json:"color,omitempty"`

	// revision is the hash of everything in the spec that makes a new revision.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`

	// version is spec.version of that revision.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`

	// images lists the image ids that the pods of the revision really run.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=6
	// +kubebuilder:validation:items:MaxLength=512
	Images []string `json:"images,omitempty"`

	// since is when the revision took this place.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// retainedUntil is when a previous revision stops being warm. Until then, reverting the spec switches back at once.
	// +optional
	RetainedUntil *metav1.Time `json:"retainedUntil,omitempty"`
}

// Trigger says why a rollout started.
// +kubebuilder:validation:Enum=Install;SpecChange;SecretChange;Rollback;Retry;Approval
type Trigger string

// The reasons a rollout starts for.
const (
	TriggerInstall      Trigger = "Install"
	TriggerSpecChange   Trigger = "SpecChange"
	TriggerSecretChange Trigger = "SecretChange"
	TriggerRollback     Trigger = "Rollback"
	TriggerRetry        Trigger = "Retry"
	// TriggerApproval is that of a contract migration which was approved after the rollout of its revision had ended.
	TriggerApproval Trigger = "Approval"
)

// RolloutStatus is the state machine's memory: a write-ahead log, persisted before the first irreversible act of a step.
type RolloutStatus struct {
	// id names this attempt: the target revision and the number of the attempt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	ID string `json:"id,omitempty"`

	// attempt counts the tries of this revision, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt,omitempty"`

	// epoch is the fencing number: it grows with each change of the route and never shrinks.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch,omitempty"`

	// step is where the rollout stands.
	// +required
	Step Step `json:"step,omitempty"`

	// stepEnteredAt is when it got there.
	// +optional
	StepEnteredAt *metav1.Time `json:"stepEnteredAt,omitempty"`

	// deadline is when the step fails. Absent in steps that wait for a person or cannot fail.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`

	// startedAt is when the rollout began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// trigger says what started it.
	// +optional
	Trigger Trigger `json:"trigger,omitempty"`

	// fromRevision is the active revision when the rollout began; empty for a first installation.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	FromRevision string `json:"fromRevision,omitempty"`

	// toRevision is the revision the rollout leads to.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	ToRevision string `json:"toRevision,omitempty"`

	// retryToken is spec.rollout.retryToken when the rollout began.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	RetryToken string `json:"retryToken,omitempty"`

	// floor is the capacity that the candidate has to bring before it may take traffic.
	// +optional
	Floor *CapacityFloor `json:"floor,omitempty"`

	// floorUntil is when the floor of the new active color is let go after its confirmation.
	// +optional
	FloorUntil *metav1.Time `json:"floorUntil,omitempty"`

	// migration is the expand migration of this rollout.
	// +optional
	Migration *MigrationStatus `json:"migration,omitempty"`

	// contract is the contract migration of this rollout, run after the previous color is gone.
	// +optional
	Contract *MigrationStatus `json:"contract,omitempty"`

	// checks records each check of the rollout.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=24
	Checks []CheckStatus `json:"checks,omitempty"`

	// switchedAt is when the route was first seen to show the candidate.
	// +optional
	SwitchedAt *metav1.Time `json:"switchedAt,omitempty"`

	// verifiedAt is when fresh connections were first seen to answer with the new revision.
	// +optional
	VerifiedAt *metav1.Time `json:"verifiedAt,omitempty"`

	// outcome is how a rollout that is being undone will be recorded.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`

	// reason is the machine-readable cause of an Aborting or RollingBack.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says in a sentence what the rollout waits for or does.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// steps records when each step of this rollout was entered, in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Steps []StepRecord `json:"steps,omitempty"`
}

// StepRecord is one step and when it was entered.
type StepRecord struct {
	// step is the step.
	// +required
	Step Step `json:"step,omitempty"`
	// at is when it was entered.
	// +required
	At metav1.MicroTime `json:"at,omitempty,omitzero"`
}

// CapacityFloor is a number of pods per component.
type CapacityFloor struct {
	// api is the number of API pods.
	// +optional
	// +kubebuilder:validation:Minimum=0
	API int32 `json:"api,omitempty"`
	// worker is the number of worker pods.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Worker int32 `json:"worker,omitempty"`
	// frontend is the number of frontend pods.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Frontend int32 `json:"frontend,omitempty"`
}

// MigrationResult is how a migration Job ended.
// +kubebuilder:validation:Enum=Running;Succeeded;Failed;Refused;Skipped
type MigrationResult string

// The results of a migration.
const (
	MigrationRunning   MigrationResult = "Running"
	MigrationSucceeded MigrationResult = "Succeeded"
	MigrationFailed    MigrationResult = "Failed"
	MigrationRefused   MigrationResult = "Refused"
	MigrationSkipped   MigrationResult = "Skipped"
)

// MigrationStatus is what a migration Job did, from its termination message.
type MigrationStatus struct {
	// jobName is the Job.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	JobName string `json:"jobName,omitempty"`
	// from is the schema level before.
	// +optional
	// +kubebuilder:validation:Minimum=0
	From int32 `json:"from,omitempty"`
	// to is the schema level after.
	// +optional
	// +kubebuilder:validation:Minimum=0
	To int32 `json:"to,omitempty"`
	// pending lists the migrations that the Job found to be run, in order: its plan, which it tells before it begins.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	Pending []string `json:"pending,omitempty"`
	// destructive lists those of them that are not run before the last of them is approved, because it takes something away.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	Destructive []string `json:"destructive,omitempty"`
	// result is how it ended.
	// +optional
	Result MigrationResult `json:"result,omitempty"`
	// message is the error, without secrets.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// CheckResult is the state of a check.
// +kubebuilder:validation:Enum=Pending;Running;Passed;Failed;Inconclusive
type CheckResult string

// The states of a check.
const (
	CheckPending      CheckResult = "Pending"
	CheckRunning      CheckResult = "Running"
	CheckPassed       CheckResult = "Passed"
	CheckFailed       CheckResult = "Failed"
	CheckInconclusive CheckResult = "Inconclusive"
)

// CheckStatus is the record of one check.
type CheckStatus struct {
	// name is the check's name in spec, or the name of a built-in check.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// result is its state.
	// +optional
	Result CheckResult `json:"result,omitempty"`
	// successes is the number of consecutive passes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Successes int32 `json:"successes,omitempty"`
	// failures is the number of failures in all.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`
	// message is the last finding.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// at is when it last ran.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// FailureStatus is a revision that failed.
type FailureStatus struct {
	// revision is the revision that failed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`
	// version is its version.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// attempt is the attempt that failed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempt int32 `json:"attempt,omitempty"`
	// retryToken is spec.rollout.retryToken at that time; a different one starts another attempt.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	RetryToken string `json:"retryToken,omitempty"`
	// step is where it failed.
	// +optional
	Step Step `json:"step,omitempty"`
	// reason is the machine-readable cause.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message is the cause and the remedy in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// at is when it failed.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// SchemaStatus is the database schema.
type SchemaStatus struct {
	// current is the level that the expand migrations have reached.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Current int32 `json:"current,omitempty"`
	// oldestCompatible is the lowest level that a binary may have to run on this schema.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OldestCompatible int32 `json:"oldestCompatible,omitempty"`
	// awaitingApproval lists the contract migrations of the active revision that take something away and were not run: name the last one
	// in spec.rollout.migration.approvedMigration to run them. Until then the schema bears older revisions too.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	AwaitingApproval []string `json:"awaitingApproval,omitempty"`
	// lastMigratedRevision is the revision that migrated last.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	LastMigratedRevision string `json:"lastMigratedRevision,omitempty"`
	// levels records the schema level of the revisions that may still come back.
	// +optional
	// +listType=map
	// +listMapKey=revision
	// +kubebuilder:validation:MaxItems=24
	Levels []RevisionLevel `json:"levels,omitempty"`
}

// RevisionLevel is the schema level that a revision's binary brings.
type RevisionLevel struct {
	// revision is the revision.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`
	// level is the level its expand migrations lead to.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Level int32 `json:"level,omitempty"`
}

// ComponentName is one of the three components of a revision.
// +kubebuilder:validation:Enum=api;worker;frontend
type ComponentName string

// The components.
const (
	API      ComponentName = "api"
	Worker   ComponentName = "worker"
	Frontend ComponentName = "frontend"
)

// ComponentStatus is one Deployment.
type ComponentStatus struct {
	// name is the component.
	// +required
	Name ComponentName `json:"name,omitempty"`
	// color is the slot.
	// +required
	Color Color `json:"color,omitempty"`
	// revision is the revision that the Deployment's template belongs to.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`
	// desired is the number of pods wanted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Desired int32 `json:"desired,omitempty"`
	// ready is the number of ready pods of that revision.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Ready int32 `json:"ready,omitempty"`
}

// EffectiveSetting is one resolved setting.
type EffectiveSetting struct {
	// name is the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// value is its value.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}

// ManagedStatus pins what a Managed store was created with.
type ManagedStatus struct {
	// postgresMajor is the major version of the managed PostgreSQL. It never changes by itself.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PostgresMajor int32 `json:"postgresMajor,omitempty"`
	// redisMajor is the major version of the managed Redis.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RedisMajor int32 `json:"redisMajor,omitempty"`
	// databaseVolume is the uid of the managed database's claim, to notice when it is another one.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	DatabaseVolume string `json:"databaseVolume,omitempty"`
	// claimPhase is the phase of the managed database's claim.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	ClaimPhase string `json:"claimPhase,omitempty"`
}

// Outcome is how a rollout ended.
// +kubebuilder:validation:Enum=Promoted;RolledBack;Aborted;Superseded
type Outcome string

// The outcomes.
const (
	OutcomePromoted   Outcome = "Promoted"
	OutcomeRolledBack Outcome = "RolledBack"
	OutcomeAborted    Outcome = "Aborted"
	OutcomeSuperseded Outcome = "Superseded"
)

// HistoryEntry is one finished rollout.
type HistoryEntry struct {
	// revision is the revision it led to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`
	// version is its version.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// outcome is how it ended.
	// +required
	Outcome Outcome `json:"outcome,omitempty"`
	// startedAt is when it began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// finishedAt is when it ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// reason is why it did not promote.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message says so in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
