package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// PromotionMode says who decides to switch traffic.
// +enum
// +kubebuilder:validation:Enum=Automatic;Manual
type PromotionMode string

const (
	// PromotionAutomatic switches once every check has passed.
	PromotionAutomatic PromotionMode = "Automatic"
	// PromotionManual waits for approvedRevision.
	PromotionManual PromotionMode = "Manual"
)

// OnFailure says what happens when a revision fails after the switch.
// +enum
// +kubebuilder:validation:Enum=RollBack;Hold
type OnFailure string

const (
	// OnFailureRollBack switches traffic back.
	OnFailureRollBack OnFailure = "RollBack"
	// OnFailureHold leaves traffic where it is and reports.
	OnFailureHold OnFailure = "Hold"
)

// RolloutSpec says how a change is verified, promoted and undone. Changing it
// starts no cutover.
// +kubebuilder:validation:XValidation:rule="!(has(self.retentionSeconds) && has(self.traffic) && has(self.traffic.propagationSeconds)) || self.retentionSeconds >= self.traffic.propagationSeconds + 10",message="retentionSeconds: must be at least traffic.propagationSeconds + 10, or clients meet pods that are gone: raise it or lower traffic.propagationSeconds"
type RolloutSpec struct {
	// promotion says when traffic is switched to a verified revision.
	// +optional
	Promotion *PromotionSpec `json:"promotion,omitempty"`

	// checks verify a revision before and after the switch, beside the built-in
	// ones.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Checks []CheckSpec `json:"checks,omitempty"`

	// traffic says how traffic is switched.
	// +optional
	Traffic *TrafficSpec `json:"traffic,omitempty"`

	// workers says how the work on the queue is handed over.
	// +optional
	Workers *WorkerHandoverSpec `json:"workers,omitempty"`

	// migration says how the database schema is brought up to date.
	// +optional
	Migration *MigrationSpec `json:"migration,omitempty"`

	// progressDeadlineSeconds is how long one automatic step may take before
	// the rollout fails. Default: 600.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	ProgressDeadlineSeconds int32 `json:"progressDeadlineSeconds,omitempty"`

	// confirmSeconds is how long the new revision is watched after the switch
	// before the workers follow. Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	ConfirmSeconds *int32 `json:"confirmSeconds,omitempty"`

	// retentionSeconds is how long the previous revision stays warm after a
	// promotion, so that going back takes seconds. At least 30 more than
	// traffic.propagationSeconds is wise: connections live up to 30 seconds.
	// Default: 600.
	// +optional
	// +kubebuilder:validation:Minimum=15
	// +kubebuilder:validation:Maximum=604800
	RetentionSeconds int32 `json:"retentionSeconds,omitempty"`

	// onFailure says what happens when a revision fails after the switch:
	// RollBack (default) or Hold.
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`

	// revisionHistoryLimit is how many old revisions are kept. Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=50
	RevisionHistoryLimit int32 `json:"revisionHistoryLimit,omitempty"`

	// retryToken is any text; changing it tries a failed revision once more.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	RetryToken string `json:"retryToken,omitempty"`
}

// PromotionSpec says when traffic is switched to a verified revision.
// +kubebuilder:validation:XValidation:rule="!has(self.approvedRevision) || (has(self.mode) && self.mode == 'Manual')",message="approvedRevision: has no effect unless mode is Manual: set mode to Manual or remove approvedRevision"
type PromotionSpec struct {
	// mode is Automatic (default: switch once all checks have passed) or Manual
	// (wait until approvedRevision names the candidate).
	// +optional
	Mode PromotionMode `json:"mode,omitempty"`

	// delaySeconds is how long a verified candidate waits before an automatic
	// switch. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	DelaySeconds *int32 `json:"delaySeconds,omitempty"`

	// approvedRevision names the revision that may take traffic, as
	// status.candidate.revision shows it. It approves that revision only.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]{10}$')",message="must be a revision, ten lower-case letters and digits: copy it from status.candidate.revision"
	ApprovedRevision string `json:"approvedRevision,omitempty"`
}

// CheckStage says when a check runs.
// +enum
// +kubebuilder:validation:Enum=PrePromotion;PostPromotion
type CheckStage string

const (
	// CheckPrePromotion runs before the switch.
	CheckPrePromotion CheckStage = "PrePromotion"
	// CheckPostPromotion runs after the switch.
	CheckPostPromotion CheckStage = "PostPromotion"
)

// CheckType is a kind of check.
// +enum
// +kubebuilder:validation:Enum=HTTP;Job;Prometheus
type CheckType string

const (
	// CheckHTTP asks a URL of the candidate.
	CheckHTTP CheckType = "HTTP"
	// CheckJob runs the instance's own image with arguments.
	CheckJob CheckType = "Job"
	// CheckPrometheus asks the Prometheus that the operator is configured with.
	CheckPrometheus CheckType = "Prometheus"
)

// CheckSpec is one check of a revision.
// +kubebuilder:validation:XValidation:rule="(self.type == 'HTTP') == has(self.http)",message="http: is required while type is HTTP and only allowed then: give path, or change type"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Job') == has(self.job)",message="job: is required while type is Job and only allowed then: give args, or change type"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Prometheus') == has(self.prometheus)",message="prometheus: is required while type is Prometheus and only allowed then: give query, comparison and threshold, or change type"
// +kubebuilder:validation:XValidation:rule="!(self.type == 'HTTP' && self.stage == 'PrePromotion' && has(self.http) && has(self.http.target) && self.http.target in ['Live', 'Host'])",message="http.target: must be Candidate before the promotion, because Live and Host still show the active revision: change target, or set stage to PostPromotion"
// +kubebuilder:validation:XValidation:rule="self.type != 'HTTP' || !has(self.timeoutSeconds) || !has(self.intervalSeconds) || self.timeoutSeconds <= self.intervalSeconds",message="timeoutSeconds: must not be more than intervalSeconds for HTTP checks, or they overlap: lower it or raise intervalSeconds"
type CheckSpec struct {
	// name is the name of the check.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must consist of lower-case letters, digits and '-': write it as smoke"
	Name string `json:"name,omitempty"`

	// stage says when the check runs: PrePromotion (before traffic is switched)
	// or PostPromotion (after it).
	// +required
	Stage CheckStage `json:"stage,omitempty"`

	// type is the kind of check: HTTP, Job or Prometheus.
	// +required
	Type CheckType `json:"type,omitempty"`

	// http asks a path of the service.
	// +optional
	HTTP *HTTPCheck `json:"http,omitempty"`

	// job runs the candidate's image with arguments.
	// +optional
	Job *JobCheck `json:"job,omitempty"`

	// prometheus asks the Prometheus that the operator is configured with.
	// +optional
	Prometheus *PrometheusCheck `json:"prometheus,omitempty"`

	// successes is how often the check must succeed in a row. Default: 3 for
	// HTTP and Prometheus, 1 for Job.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Successes int32 `json:"successes,omitempty"`

	// failures is how many failures fail the revision. Default: 3 for HTTP and
	// Prometheus, 1 for Job.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Failures int32 `json:"failures,omitempty"`

	// intervalSeconds is the time between two runs. Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`

	// initialDelaySeconds is the time before the first run. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	InitialDelaySeconds *int32 `json:"initialDelaySeconds,omitempty"`

	// timeoutSeconds limits one run. Default: 5 for HTTP and Prometheus (but
	// never more than intervalSeconds), 300 for Job.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// CheckTarget says whom an HTTP check asks.
// +enum
// +kubebuilder:validation:Enum=Candidate;Live;Host
type CheckTarget string

const (
	// CheckTargetCandidate asks the candidate's own Service.
	CheckTargetCandidate CheckTarget = "Candidate"
	// CheckTargetLive asks the live Service.
	CheckTargetLive CheckTarget = "Live"
	// CheckTargetHost asks the first host of spec.exposure.
	CheckTargetHost CheckTarget = "Host"
)

// CheckComponent is a component that answers HTTP.
// +enum
// +kubebuilder:validation:Enum=API;Frontend
type CheckComponent string

const (
	// CheckComponentAPI is the API.
	CheckComponentAPI CheckComponent = "API"
	// CheckComponentFrontend is the frontend.
	CheckComponentFrontend CheckComponent = "Frontend"
)

// HTTPCheck asks a path with GET. An answer counts only when it carries the
// candidate's revision.
type HTTPCheck struct {
	// path is the path to ask, with its query.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[^ #]*$') && !self.startsWith('//')",message="must be a path that begins with one '/', not a URL, because only the instance itself is asked: write it as /health"
	Path string `json:"path,omitempty"`

	// target says whom to ask: Candidate (the candidate's own Service; default
	// before the promotion), Live (the live Service; default after it) or Host
	// (the first host of exposure).
	// +optional
	Target CheckTarget `json:"target,omitempty"`

	// component is API (default) or Frontend.
	// +optional
	Component CheckComponent `json:"component,omitempty"`

	// expectedStatus is the status code that counts as success. Default: 200.
	// +optional
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=599
	ExpectedStatus int32 `json:"expectedStatus,omitempty"`
}

// JobCheck runs the candidate's image with arguments, restricted and without
// a token. It succeeds with exit code 0.
type JobCheck struct {
	// args are the arguments of the image's own entry point.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=1024
	Args []string `json:"args,omitempty"`

	// resources are the compute resources of the pod. Default: those of the API.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// Comparison compares the answer of a query with a threshold.
// +enum
// +kubebuilder:validation:Enum=LessThan;LessThanOrEqual;GreaterThan;GreaterThanOrEqual;Equal
type Comparison string

const (
	// ComparisonLessThan is answer < threshold.
	ComparisonLessThan Comparison = "LessThan"
	// ComparisonLessThanOrEqual is answer <= threshold.
	ComparisonLessThanOrEqual Comparison = "LessThanOrEqual"
	// ComparisonGreaterThan is answer > threshold.
	ComparisonGreaterThan Comparison = "GreaterThan"
	// ComparisonGreaterThanOrEqual is answer >= threshold.
	ComparisonGreaterThanOrEqual Comparison = "GreaterThanOrEqual"
	// ComparisonEqual is answer == threshold.
	ComparisonEqual Comparison = "Equal"
)

// PrometheusCheck asks the Prometheus that the operator is configured with.
type PrometheusCheck struct {
	// query is a PromQL query that answers one number. $(NAMESPACE), $(INSTANCE),
	// $(COLOR) and $(REVISION) stand for those of the candidate. No answer at
	// all is neither success nor failure.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Query string `json:"query,omitempty"`

	// comparison is what must hold between answer and threshold.
	// +required
	Comparison Comparison `json:"comparison,omitempty"`

	// threshold is a decimal number, such as "0.01".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^-?[0-9]+([.][0-9]+)?$')",message="must be a decimal number in quotes, without exponent and unit: write it as \"0.01\""
	Threshold string `json:"threshold,omitempty"`
}

// TrafficSwitch says which objects carry the switch.
// +enum
// +kubebuilder:validation:Enum=Auto;Service;Route
type TrafficSwitch string

const (
	// TrafficSwitchAuto lets the operator choose.
	TrafficSwitchAuto TrafficSwitch = "Auto"
	// TrafficSwitchService changes the selector of the live Services.
	TrafficSwitchService TrafficSwitch = "Service"
	// TrafficSwitchRoute changes the weights of the HTTPRoutes.
	TrafficSwitchRoute TrafficSwitch = "Route"
)

// TrafficSpec says how traffic is switched.
type TrafficSpec struct {
	// switch says which objects carry the switch: Auto (default: the HTTPRoutes
	// of a Gateway, else the live Services), Service or Route.
	// +optional
	Switch TrafficSwitch `json:"switch,omitempty"`

	// propagationSeconds is how long a change of a route takes to reach every
	// node or proxy. Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=600
	PropagationSeconds *int32 `json:"propagationSeconds,omitempty"`
}

// WorkerOverlap says whether old and new workers may run together.
// +enum
// +kubebuilder:validation:Enum=Allowed;Forbidden
type WorkerOverlap string

const (
	// WorkerOverlapAllowed starts the new workers before the old ones stop.
	WorkerOverlapAllowed WorkerOverlap = "Allowed"
	// WorkerOverlapForbidden stops the old workers first.
	WorkerOverlapForbidden WorkerOverlap = "Forbidden"
)

// WorkerHandoverSpec says how the work on the queue is handed over.
type WorkerHandoverSpec struct {
	// overlap says whether old and new workers may run together: Allowed
	// (default) or Forbidden, which lets the queue wait for a moment.
	// +optional
	Overlap WorkerOverlap `json:"overlap,omitempty"`
}

// MigrationPolicy says whether the operator migrates the database.
// +enum
// +kubebuilder:validation:Enum=Automatic;Disabled
type MigrationPolicy string

const (
	// MigrationAutomatic runs migrations as part of the rollout.
	MigrationAutomatic MigrationPolicy = "Automatic"
	// MigrationDisabled leaves migrations to the user.
	MigrationDisabled MigrationPolicy = "Disabled"
)

// DestructiveMigration says whether migrations may destroy data.
// +enum
// +kubebuilder:validation:Enum=Never;WhenApproved
type DestructiveMigration string

const (
	// DestructiveNever refuses them.
	DestructiveNever DestructiveMigration = "Never"
	// DestructiveWhenApproved runs the one that approvedMigration names.
	DestructiveWhenApproved DestructiveMigration = "WhenApproved"
)

// MigrationSpec says how the database schema is brought up to date.
// +kubebuilder:validation:XValidation:rule="!has(self.approvedMigration) || (has(self.destructive) && self.destructive == 'WhenApproved')",message="approvedMigration: has no effect unless destructive is WhenApproved: set destructive to WhenApproved or remove approvedMigration"
type MigrationSpec struct {
	// policy is Automatic (default: each rollout migrates first) or Disabled
	// (you migrate before you change the version: the candidate gets ready once
	// the schema fits, for which it has progressDeadlineSeconds).
	// +optional
	Policy MigrationPolicy `json:"policy,omitempty"`

	// timeoutSeconds limits one attempt. Default: 900.
	// +optional
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=86400
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// backoffLimit is how often a failed attempt is repeated. Default: 2.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// destructive says what becomes of migrations that take something away:
	// Never (default: an expand migration fails the rollout, a contract migration
	// is left out) or WhenApproved (an expand migration waits, a contract
	// migration is run when it is approved, at once or later).
	// +optional
	Destructive DestructiveMigration `json:"destructive,omitempty"`

	// approvedMigration names the last of the destructive migrations that may
	// run, as status.rollout.migration.destructive or
	// status.schema.awaitingApproval lists them. It approves those before it
	// too, and none that comes later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ApprovedMigration string `json:"approvedMigration,omitempty"`
}
