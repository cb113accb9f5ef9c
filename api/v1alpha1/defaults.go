package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// DefaultRepository is the image repository of a spec that names none.
const DefaultRepository = "ghcr.io/garnizeh/englog"

// DefaultQueueAgeMetric is the external metric that workers are scaled by when a spec names none.
const DefaultQueueAgeMetric = "englog_queue_oldest_task_age_seconds"

// Resolve gives the spec that holds for this instance: WithDefaults, and the names that follow from the instance's own.
// Every group of the result is set. The result is for reading; it is never written into the object.
func (in *EngLogInstance) Resolve() EngLogInstanceSpec {
	spec := in.Spec
	if pin := in.Status.Managed; pin != nil && spec.Database.Type == StoreManaged {
		spec = *in.Spec.DeepCopy()
		fill(&ensure(&spec.Database.Managed).MajorVersion, pin.PostgresMajor)
	}
	out := spec.WithDefaults()
	if out.Secrets.Kubernetes != nil {
		fill(&out.Secrets.Kubernetes.Name, in.Name+"-secrets")
	}
	out.nameSecrets(in.InstanceSecretName())
	if tls := out.Exposure.TLS.CertManager; tls != nil {
		fill(&tls.SecretName, in.Name+"-tls")
	}
	return out
}

// InstanceSecretName is the name of the Secret to which every Secret reference defaults.
func (in *EngLogInstance) InstanceSecretName() string {
	if s := in.Spec.Secrets; s != nil && s.Kubernetes != nil && s.Kubernetes.Name != "" {
		return s.Kubernetes.Name
	}
	return in.Name + "-secrets"
}

// nameSecrets gives every reference without a name that of the instance's own Secret.
func (in *EngLogInstanceSpec) nameSecrets(name string) {
	if in.Database.External != nil {
		fill(&in.Database.External.SecretRef.Name, name)
	}
	if in.Cache.External != nil {
		fill(&in.Cache.External.SecretRef.Name, name)
	}
	fill(&in.Auth.SecretRef.Name, name)
	for i := range in.AI.Providers {
		if p := in.AI.Providers[i].OpenAI; p != nil {
			fill(&p.APIKeySecretRef.Name, name)
		}
		if p := in.AI.Providers[i].AzureOpenAI; p != nil {
			fill(&p.APIKeySecretRef.Name, name)
		}
	}
	if in.Mail.SMTP != nil && in.Mail.SMTP.PasswordSecretRef != nil {
		fill(&in.Mail.SMTP.PasswordSecretRef.Name, name)
	}
}

// WithDefaults gives a copy in which every group and every setting has its value. Defaults are those of the deployment
// document (docs/reference/defaults.md lists them), chosen by environment. A reference to a Secret without a name means
// the instance's own Secret; Resolve fills it in. It is pure, and WithDefaults of its result is its result.
func (in *EngLogInstanceSpec) WithDefaults() EngLogInstanceSpec {
	out := *in.DeepCopy()
	fill(&out.Environment, EnvironmentDevelopment) // the schema asks for it unless both stores are Managed
	fill(&out.Reconciliation, ReconciliationEnabled)
	fill(&out.Activity, ActivityRunning)
	ensure(&out.Image).setDefaults()
	ensure(&out.API).setDefaults(out.Environment)
	ensure(&out.Worker).setDefaults(out.Environment)
	ensure(&out.Frontend).setDefaults(out.Environment)
	out.Database.setDefaults()
	out.Cache.setDefaults()
	ensure(&out.Auth).setDefaults()
	out.setTimeouts()
	out.AI.setDefaults(out.Environment)
	ensure(&out.Secrets).setDefaults(out.Environment)
	ensure(&out.Features).setDefaults(out.Environment)
	out.Config.setDefaults(out.Environment)
	ensure(&out.Mail).setDefaults()
	ensure(&out.Tracing).setDefaults(out.Environment)
	ensure(&out.Exposure).setDefaults()
	ensure(&out.Rollout).setDefaults()
	fill(&ensure(&out.NetworkPolicy).Mode, NetworkPolicyDefault)
	ensure(&out.Monitoring).setDefaults()
	return out
}

// fill sets a field that has the zero value.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ensure makes an optional struct present.
func ensure[T any](field **T) *T {
	if *field == nil {
		*field = new(T)
	}
	return *field
}

// choose gives one value in Production and another elsewhere.
func choose[T any](environment Environment, production, elsewhere T) T {
	if environment == EnvironmentProduction {
		return production
	}
	return elsewhere
}

// byEnvironment gives the value of one environment.
func byEnvironment[T any](environment Environment, development, staging, production T) T {
	switch environment {
	case EnvironmentProduction:
		return production
	case EnvironmentStaging:
		return staging
	case EnvironmentDevelopment:
	}
	return development
}

func (in *ImageSpec) setDefaults() {
	fill(&in.Repository, DefaultRepository)
	fill(&in.PullPolicy, PullIfNotPresent)
	for _, component := range []*ComponentImage{ensure(&in.API), ensure(&in.Worker), ensure(&in.Frontend)} {
		// The digest belongs to the repository: another repository holds other images.
		if component.Repository == "" || component.Repository == in.Repository {
			fill(&component.Digest, in.Digest)
		}
		fill(&component.Repository, in.Repository)
	}
}

// ImageFor is the image of a component of a resolved spec, by digest if there is one.
func (in *EngLogInstanceSpec) ImageFor(component ComponentName) string {
	image := in.Image.API
	switch component {
	case Worker:
		image = in.Image.Worker
	case Frontend:
		image = in.Image.Frontend
	case API:
	}
	if image.Digest != "" {
		return image.Repository + "@" + image.Digest
	}
	return image.Repository + ":" + in.Version
}

func (in *APISpec) setDefaults(environment Environment) {
	if in.Replicas == 0 && in.Autoscaling == nil && environment == EnvironmentProduction {
		in.Autoscaling = &AutoscalingSpec{MinReplicas: 3, MaxReplicas: 20}
	}
	if in.Autoscaling == nil {
		fill(&in.Replicas, byEnvironment[int32](environment, 1, 2, 3))
	} else {
		in.Autoscaling.setDefaults(environment, len(in.Autoscaling.Metrics) == 0)
	}
	in.ComponentSpec.setDefaults(60, requirements(
		choose(environment, "100m", "50m"), byEnvironment(environment, "64Mi", "128Mi", "256Mi"), "500m", "512Mi"))
}

func (in *WorkerSpec) setDefaults(environment Environment) {
	if in.Autoscaling == nil {
		fill(&in.Replicas, choose[int32](environment, 2, 1))
	} else {
		other := len(in.Autoscaling.Metrics) > 0 || in.Autoscaling.TargetQueueAgeSeconds > 0
		in.Autoscaling.setDefaults(environment, !other)
		if in.Autoscaling.TargetQueueAgeSeconds > 0 {
			fill(&in.Autoscaling.QueueAgeMetric, DefaultQueueAgeMetric)
		}
	}
	fill(&in.Concurrency, 10)
	fill(&in.DrainTimeoutSeconds, 600)
	in.ComponentSpec.setDefaults(in.DrainTimeoutSeconds+30, requirements(
		choose(environment, "200m", "50m"), choose(environment, "256Mi", "128Mi"), "800m", "1Gi"))
}

func (in *FrontendSpec) setDefaults(environment Environment) {
	fill(&in.Mode, ModeEnabled)
	if in.Autoscaling == nil {
		fill(&in.Replicas, choose[int32](environment, 2, 1))
	} else {
		in.Autoscaling.setDefaults(environment, len(in.Autoscaling.Metrics) == 0)
	}
	in.ComponentSpec.setDefaults(60, requirements("50m", "64Mi", "500m", "256Mi"))
}

func (in *ComponentSpec) setDefaults(grace int32, resources corev1.ResourceRequirements) {
	if in.Resources == nil {
		in.Resources = &resources
	}
	fill(&in.TerminationGracePeriodSeconds, grace)
	ensure(&in.ServiceAccount)
	for i := range in.Env {
		if in.Env[i].SecretKey != nil {
			fill(&in.Env[i].SecretKey.Secret, EnvSecretInstance)
		}
	}
}

func (in *AutoscalingSpec) setDefaults(environment Environment, byCPU bool) {
	fill(&in.MinReplicas, min(in.MaxReplicas, choose[int32](environment, 3, 1)))
	if byCPU {
		fill(&in.TargetCPUUtilizationPercentage, 70)
	}
	if in.Behavior == nil {
		in.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp:   scalingRules(60, 100, 30),
			ScaleDown: scalingRules(300, 50, 60),
		}
	}
}

func scalingRules(window, percent, period int32) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: &window,
		Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PercentScalingPolicy, Value: percent, PeriodSeconds: period},
		},
	}
}

func requirements(cpu, memory, cpuLimit, memoryLimit string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpuLimit), corev1.ResourceMemory: resource.MustParse(memoryLimit),
		},
	}
}
