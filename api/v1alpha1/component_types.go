package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// ComponentSpec is what every component has: its number of pods, resources
// and scheduling.
type ComponentSpec struct {
	// replicas is the number of pods of the active color. It excludes
	// autoscaling. To stop an instance, set activity to Hibernated.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Replicas int32 `json:"replicas,omitempty"`

	// resources are the compute resources of each pod. GOMEMLIMIT and GOMAXPROCS
	// follow from the limits. Given, they replace the component's default as a whole.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// podLabels are added to the pods. Labels of the operator win.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('englog.io/') && !k.startsWith('app.kubernetes.io/'))",message="must not set labels below englog.io/ or app.kubernetes.io/, which select the pods: remove them or use another prefix"
	PodLabels map[string]string `json:"podLabels,omitempty"`

	// podAnnotations are added to the pods. Annotations of the operator win.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('englog.io/'))",message="must not set annotations below englog.io/, which belong to the operator: remove them or use another prefix"
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`

	// nodeSelector limits the pods to nodes with these labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations let the pods run on nodes with matching taints.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity sets scheduling constraints between the pods, nodes and other pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints replace the default, which spreads the pods of a
	// color over nodes and zones where that is possible. A constraint without a
	// labelSelector gets the one of the color's pods.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the PriorityClass of the pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="must not be a system- class, which is kept for the cluster's own pods: name a PriorityClass of your own"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// serviceAccount is the identity of the pods. Default: the operator makes
	// one named <name>-<component>. Its token is never mounted.
	// +optional
	ServiceAccount *ServiceAccountSpec `json:"serviceAccount,omitempty"`

	// terminationGracePeriodSeconds is the time a pod has to drain. Default: 60
	// for API and frontend, drainTimeoutSeconds + 30 for workers. It must leave
	// room for the drain.
	// +optional
	// +kubebuilder:validation:Minimum=40
	// +kubebuilder:validation:Maximum=4000
	TerminationGracePeriodSeconds int32 `json:"terminationGracePeriodSeconds,omitempty"`

	// env adds environment variables: literals, or keys of Secrets that this
	// spec names already. Settings that have a field of their own are refused.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Env []EnvVar `json:"env,omitempty"`
}

// APISpec is the component that answers /api/v1.
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas: excludes autoscaling, because two writers would fight over the number of pods: remove one of them"
type APISpec struct {
	ComponentSpec `json:",inline"`

	// autoscaling sets the number of pods by load. Default in Production: 3 to
	// 20 pods at 70 % CPU; elsewhere none.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
}

// WorkerSpec is the component that works on the queue.
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas: excludes autoscaling, because two writers would fight over the number of pods: remove one of them"
// +kubebuilder:validation:XValidation:rule="!(has(self.terminationGracePeriodSeconds) && has(self.drainTimeoutSeconds)) || self.terminationGracePeriodSeconds >= self.drainTimeoutSeconds + 15",message="terminationGracePeriodSeconds: must be at least drainTimeoutSeconds + 15, or the pod is killed while it drains: raise it or lower drainTimeoutSeconds"
// +kubebuilder:validation:XValidation:rule="!has(self.terminationGracePeriodSeconds) || has(self.drainTimeoutSeconds)",message="terminationGracePeriodSeconds: needs drainTimeoutSeconds beside it, because it must be at least 15 seconds more: set both or neither"
type WorkerSpec struct {
	ComponentSpec `json:",inline"`

	// autoscaling sets the number of pods by load or by the age of the queue.
	// +optional
	Autoscaling *WorkerAutoscalingSpec `json:"autoscaling,omitempty"`

	// concurrency is how many tasks one pod works on at a time. Default: 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Concurrency int32 `json:"concurrency,omitempty"`

	// drainTimeoutSeconds is how long a stopping worker may go on with tasks it
	// has begun. What is not done by then is handed back without costing an
	// attempt. Default: 600.
	// +optional
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=3600
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`
}

// FrontendSpec is the component that serves the web pages.
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas: excludes autoscaling, because two writers would fight over the number of pods: remove one of them"
type FrontendSpec struct {
	// mode says whether there is a frontend: Enabled (default) or Disabled.
	// +optional
	Mode Mode `json:"mode,omitempty"`

	ComponentSpec `json:",inline"`

	// autoscaling sets the number of pods by load. Default: none.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
}

// AutoscalingSpec sets the number of pods by load.
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas: must not be more than maxReplicas: lower it or raise maxReplicas"
type AutoscalingSpec struct {
	// minReplicas is the least number of pods. Default: 3 in Production, else 1,
	// and never more than maxReplicas.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReplicas int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the greatest number of pods. It may be lowered to what the
	// database's connection budget allows; status says so.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilizationPercentage is the CPU use to aim at, in percent of the
	// request. Default: 70, unless metrics or another target is given.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	TargetCPUUtilizationPercentage int32 `json:"targetCPUUtilizationPercentage,omitempty"`

	// metrics are further metrics, as in a HorizontalPodAutoscaler.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`

	// behavior sets how quickly pods come and go, as in a
	// HorizontalPodAutoscaler. Default: up by at most 100 % in 30 s after 60 s,
	// down by at most 50 % in 60 s after 300 s.
	// +optional
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`
}

// WorkerAutoscalingSpec sets the number of workers by load or by the age of
// the queue.
// +kubebuilder:validation:XValidation:rule="!has(self.queueAgeMetric) || has(self.targetQueueAgeSeconds)",message="queueAgeMetric: has no effect without targetQueueAgeSeconds: set the target or remove the metric"
type WorkerAutoscalingSpec struct {
	AutoscalingSpec `json:",inline"`

	// targetQueueAgeSeconds is the age of the oldest waiting task to aim at. It
	// needs an external metrics server that finds metrics by name and labels,
	// such as prometheus-adapter.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TargetQueueAgeSeconds int32 `json:"targetQueueAgeSeconds,omitempty"`

	// queueAgeMetric is the name of the external metric that holds the age of
	// the oldest waiting task in seconds. It is asked for with the labels
	// instance and namespace. Default: englog_queue_oldest_task_age_seconds.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_]([a-zA-Z0-9_.:-]*[a-zA-Z0-9_])?$')",message="must be the name of a metric: letters, digits, '_', '.', ':' and '-', beginning with a letter"
	QueueAgeMetric string `json:"queueAgeMetric,omitempty"`
}

// ServiceAccountSpec is the identity of a component's pods.
// +kubebuilder:validation:XValidation:rule="!(has(self.name) && has(self.annotations))",message="annotations: cannot be set on a ServiceAccount that the operator does not make: remove name, or annotate that ServiceAccount yourself"
type ServiceAccountSpec struct {
	// name is an existing ServiceAccount to use. Without it the operator makes one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a ServiceAccount in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// annotations are put on the ServiceAccount that the operator makes, for
	// example eks.amazonaws.com/role-arn.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
}

// EnvSecret names one of the Secrets of the spec.
// +enum
// +kubebuilder:validation:Enum=Instance;Database;Cache;Auth;Mail
type EnvSecret string

const (
	// EnvSecretInstance is the Secret of spec.secrets.
	EnvSecretInstance EnvSecret = "Instance"
	// EnvSecretDatabase is the Secret of spec.database.
	EnvSecretDatabase EnvSecret = "Database"
	// EnvSecretCache is the Secret of spec.cache.
	EnvSecretCache EnvSecret = "Cache"
	// EnvSecretAuth is the Secret of spec.auth.
	EnvSecretAuth EnvSecret = "Auth"
	// EnvSecretMail is the Secret of spec.mail.
	EnvSecretMail EnvSecret = "Mail"
)

// EnvVar is one environment variable.
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretKey)",message="must have exactly one of value and secretKey: remove one of them, or add the one that is missing"
type EnvVar struct {
	// name is the name of the variable. Names that the operator or the system
	// uses are refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Z0-9_]*$')",message="must consist of upper-case letters, digits and '_' and begin with a letter: write it as MY_SETTING"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(PATH|HOME|HOSTNAME|PORT|ADMIN_PORT|API_PORT|API_URL|ENVIRONMENT|APP_VERSION|LOG_LEVEL|POD_NAME|SSL_CERT_FILE|SSL_CERT_DIR|TERMINATION_LOG|GOMEMLIMIT|GOMAXPROCS|LD_.*|KUBERNETES_.*|ENGLOG_.*|DB_.*|DATABASE_.*|REDIS_.*|JWT_.*|SESSION_.*|FEATURE_.*|AI_.*|OPENAI_.*|AZURE_.*|OLLAMA_.*|SMTP_.*|OTEL_.*|DRAIN_.*|RATE_LIMIT_.*|TRACING_.*|METRICS_.*|PASSWORD_.*|WORKER_.*|MAX_CONTENT_SIZE|READ_TIMEOUT|WRITE_TIMEOUT|HTTP_PROXY|HTTPS_PROXY|NO_PROXY)$')",message="belongs to the operator or the system: use the field of spec that sets it, or another name"
	Name string `json:"name,omitempty"`

	// value is a literal. Never put a password here: anyone who may read the
	// instance may read it.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value *string `json:"value,omitempty"`

	// secretKey takes the value from a Secret of this spec.
	// +optional
	SecretKey *EnvSecretKey `json:"secretKey,omitempty"`
}

// EnvSecretKey is one key of a Secret that the spec names.
type EnvSecretKey struct {
	// secret says which Secret: Instance (that of spec.secrets, the default),
	// Database, Cache, Auth or Mail.
	// +optional
	Secret EnvSecret `json:"secret,omitempty"`

	// key is the key in that Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
	Key string `json:"key,omitempty"`
}
