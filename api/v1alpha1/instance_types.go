package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Environment says what an instance is for; it selects the defaults.
// +enum
// +kubebuilder:validation:Enum=Development;Staging;Production
type Environment string

const (
	// EnvironmentDevelopment is a throw-away installation for one developer.
	EnvironmentDevelopment Environment = "Development"
	// EnvironmentStaging resembles production at a smaller size.
	EnvironmentStaging Environment = "Staging"
	// EnvironmentProduction serves real users.
	EnvironmentProduction Environment = "Production"
)

// Reconciliation says whether the operator acts on an instance.
// +enum
// +kubebuilder:validation:Enum=Enabled;Paused;DryRun
type Reconciliation string

const (
	// ReconciliationEnabled makes the operator act.
	ReconciliationEnabled Reconciliation = "Enabled"
	// ReconciliationPaused stops every write but the one to status.
	ReconciliationPaused Reconciliation = "Paused"
	// ReconciliationDryRun shows in status what would be written, and writes nothing.
	ReconciliationDryRun Reconciliation = "DryRun"
)

// Activity says whether an instance runs pods.
// +enum
// +kubebuilder:validation:Enum=Running;Hibernated
type Activity string

const (
	// ActivityRunning runs the instance.
	ActivityRunning Activity = "Running"
	// ActivityHibernated keeps every object and all data, and runs no pod.
	ActivityHibernated Activity = "Hibernated"
)

// Mode switches something on or off.
// +enum
// +kubebuilder:validation:Enum=Enabled;Disabled
type Mode string

const (
	// ModeEnabled switches on.
	ModeEnabled Mode = "Enabled"
	// ModeDisabled switches off.
	ModeDisabled Mode = "Disabled"
)

// EngLogInstance is one complete EngLog installation: API, workers, frontend,
// configuration, routing, autoscaling and policies. Change spec.version to
// start a blue-green cutover; apply the earlier spec to go back.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=engloginstances,singular=engloginstance,scope=Namespaced,shortName={englog,eli}
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the instance serves and the spec is realized."
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.active.version`,description="The version that serves now."
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.active.color`,description="The color that serves now."
// +kubebuilder:printcolumn:name="Rollout",type=string,JSONPath=`.status.rollout.step`,description="The step of the cutover."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.active.revision`,description="The revision that serves now."
// +kubebuilder:printcolumn:name="URL",type=string,priority=1,JSONPath=`.status.url`,description="Where the instance answers."
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name: must be at most 40 characters, so that the names of all child objects stay within 63: choose a shorter name"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: must start with a lower-case letter and hold only lower-case letters, digits and '-', because Services are named after it: choose a name such as 'journal'"
type EngLogInstance struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is at most 40 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the desired state of the installation.
	// +required
	Spec EngLogInstanceSpec `json:"spec,omitzero"`

	// status is the observed state of the installation.
	// +optional
	Status EngLogInstanceStatus `json:"status,omitzero"` //nolint:kubeapilinter // a value, as in every built-in kind
}

// EngLogInstanceList is a list of EngLogInstances.
//
// +kubebuilder:object:root=true
type EngLogInstanceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the instances.
	Items []EngLogInstance `json:"items"`
}

// EngLogInstanceSpec is the desired state of one EngLog installation.
//
// +kubebuilder:validation:XValidation:rule="has(self.environment) || (self.database.type == 'Managed' && self.cache.type == 'Managed')",message="environment: is required unless database and cache are both Managed: set it to Development, Staging or Production"
// +kubebuilder:validation:XValidation:rule="!(has(self.environment) && self.environment == 'Production' && self.database.type == 'Managed')",message="database.type: Managed is refused in Production: use External and name the Secret of a database that is backed up"
// +kubebuilder:validation:XValidation:rule="!(has(self.environment) && self.environment == 'Production' && self.cache.type == 'Managed')",message="cache.type: Managed is refused in Production: use External and name the Secret of a Redis that you operate"
// +kubebuilder:validation:XValidation:rule="!(has(self.frontend) && has(self.frontend.mode) && self.frontend.mode == 'Disabled' && has(self.exposure) && has(self.exposure.frontendHosts) && self.exposure.frontendHosts.size() > 0)",message="exposure.frontendHosts: must be empty while frontend.mode is Disabled, or these hosts would answer 503: remove the hosts or enable the frontend"
// +kubebuilder:validation:XValidation:rule="!(has(self.ai) && has(self.ai.timeoutSeconds) && has(self.config) && has(self.config.writeTimeoutSeconds)) || self.ai.timeoutSeconds < self.config.writeTimeoutSeconds",message="ai.timeoutSeconds: must be less than config.writeTimeoutSeconds, or answers that wait for a provider are cut off: lower it or raise config.writeTimeoutSeconds"
// +kubebuilder:validation:XValidation:rule="!(has(self.environment) && self.environment == 'Production' && has(self.ai) && has(self.ai.providers) && self.ai.providers.exists(p, p.type == 'Builtin'))",message="ai.providers: Builtin makes no real insights and is refused in Production: use OpenAI, AzureOpenAI or Ollama"
type EngLogInstanceSpec struct {
	// version is the EngLog release to run, a semantic version such as "1.8.0".
	// It is the image tag too, unless a digest is given. Changing it starts a
	// cutover to the new version; changing it back is the rollback.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)(-[0-9A-Za-z-]+([.][0-9A-Za-z-]+)*)?$')",message="must be a full semantic version without a leading v and without build metadata, because it must name one build for ever: write it as 1.8.0 or 1.8.0-rc.1"
	Version string `json:"version,omitempty"`

	// environment says what the instance is for: Development, Staging or
	// Production. It selects the defaults of everything below. It is required
	// unless database and cache are both Managed, in which case it defaults to
	// Development.
	// +optional
	Environment Environment `json:"environment,omitempty"`

	// image says where the images come from.
	// +optional
	Image *ImageSpec `json:"image,omitempty"`

	// api is the component that answers /api/v1.
	// +optional
	API *APISpec `json:"api,omitempty"`

	// worker is the component that works on the queue.
	// +optional
	Worker *WorkerSpec `json:"worker,omitempty"`

	// frontend is the component that serves the web pages.
	// +optional
	Frontend *FrontendSpec `json:"frontend,omitempty"`

	// database is the PostgreSQL database that holds all data.
	// +required
	Database DatabaseSpec `json:"database,omitzero"`

	// cache is the Redis that carries the queue, rate limits and caches. Losing
	// its content loses nothing.
	// +required
	Cache CacheSpec `json:"cache,omitzero"`

	// auth sets how users sign in and how long they stay signed in.
	// +optional
	Auth *AuthSpec `json:"auth,omitempty"`

	// ai lists the providers that make insights from entries.
	// +optional
	AI *AISpec `json:"ai,omitempty"`

	// secrets says who fills the instance's own Secret, to which every Secret
	// reference defaults. Default: a Kubernetes Secret named <name>-secrets.
	// +optional
	Secrets *SecretsSpec `json:"secrets,omitempty"`

	// features switches parts of the service on and off.
	// +optional
	Features *FeaturesSpec `json:"features,omitempty"`

	// config holds the settings of the service that belong to no other group.
	// +optional
	Config *ConfigSpec `json:"config,omitempty"`

	// mail says how the service sends mail. Default: it sends none.
	// +optional
	Mail *MailSpec `json:"mail,omitempty"`

	// tracing says where the service sends traces.
	// +optional
	Tracing *TracingSpec `json:"tracing,omitempty"`

	// exposure says how users reach the instance. Default: ClusterIP Services only.
	// +optional
	Exposure *ExposureSpec `json:"exposure,omitempty"`

	// rollout says how a change is verified, promoted and, if it fails, undone.
	// +optional
	Rollout *RolloutSpec `json:"rollout,omitempty"`

	// restartToken is any text; changing it replaces the pods of the active color
	// one after the other, without a cutover.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	RestartToken string `json:"restartToken,omitempty"`

	// reconciliation says whether the operator acts: Enabled (default), Paused
	// (nothing is written but status), or DryRun (status shows what would be
	// written).
	// +optional
	Reconciliation Reconciliation `json:"reconciliation,omitempty"`

	// activity says whether pods run: Running (default) or Hibernated, which
	// keeps every object and all data but runs no pod.
	// +optional
	Activity Activity `json:"activity,omitempty"`

	// networkPolicy says which network traffic is allowed.
	// +optional
	NetworkPolicy *NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// monitoring says what is offered to Prometheus.
	// +optional
	Monitoring *MonitoringSpec `json:"monitoring,omitempty"`
}

// ImageSpec says where the images come from. One image holds every component;
// a component may still have its own.
type ImageSpec struct {
	// repository is the image repository without a tag. Default: ghcr.io/garnizeh/englog.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')",message="must be an image repository without tag, digest and scheme, because the tag is spec.version: write it as ghcr.io/garnizeh/englog"
	Repository string `json:"repository,omitempty"`

	// digest pins the image: sha256: and 64 hexadecimal digits. Without it the
	// tag is spec.version.
	// +optional
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[0-9a-f]{64}$')",message="must be sha256: followed by 64 lower-case hexadecimal digits: copy it from the registry or from the output of the build"
	Digest string `json:"digest,omitempty"`

	// pullPolicy says when the node pulls: Always, IfNotPresent (default) or Never.
	// +optional
	PullPolicy PullPolicy `json:"pullPolicy,omitempty"`

	// pullSecrets names the Secrets that hold registry credentials.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	PullSecrets []SecretName `json:"pullSecrets,omitempty"`

	// api replaces repository and digest for the API alone.
	// +optional
	API *ComponentImage `json:"api,omitempty"`

	// worker replaces repository and digest for the workers alone.
	// +optional
	Worker *ComponentImage `json:"worker,omitempty"`

	// frontend replaces repository and digest for the frontend alone.
	// +optional
	Frontend *ComponentImage `json:"frontend,omitempty"`
}

// PullPolicy says when a node pulls an image.
// +enum
// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
type PullPolicy string

const (
	// PullAlways pulls at every start.
	PullAlways PullPolicy = "Always"
	// PullIfNotPresent pulls what the node does not have.
	PullIfNotPresent PullPolicy = "IfNotPresent"
	// PullNever uses only what the node has.
	PullNever PullPolicy = "Never"
)

// ComponentImage replaces the image of one component.
type ComponentImage struct {
	// repository is the image repository without a tag. Default: image.repository.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')",message="must be an image repository without tag, digest and scheme, because the tag is spec.version: write it as ghcr.io/garnizeh/englog"
	Repository string `json:"repository,omitempty"`

	// digest pins the image: sha256: and 64 hexadecimal digits. Default:
	// image.digest, but only while the repository is the same.
	// +optional
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[0-9a-f]{64}$')",message="must be sha256: followed by 64 lower-case hexadecimal digits: copy it from the registry or from the output of the build"
	Digest string `json:"digest,omitempty"`
}

// SecretName names a Secret in the instance's namespace.
type SecretName struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`
}
