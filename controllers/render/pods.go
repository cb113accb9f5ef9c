package render

import (
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

const (
	// user is the numeric user of the image; a number, because the node checks runAsNonRoot against it.
	user      = 1000
	httpName  = "http"
	adminName = "admin"
	caPath    = "/etc/englog/ca"
	// drainReserve is what the end of a pod takes beside its drain: closing pools and telling the queue.
	drainReserve = 10
)

// componentTemplate is the pod of a component, in neither color.
func componentTemplate(in Input, c v1alpha1.ComponentName, references []revision.Reference) corev1.PodTemplateSpec {
	t := podTemplate(in, c, string(c), []string{string(c)}, references)
	spec := component(&in.Spec, c)
	t.Spec.TerminationGracePeriodSeconds = new(int64(spec.TerminationGracePeriodSeconds))
	t.Spec.TopologySpreadConstraints = spread(in.Instance.Name, c, spec.TopologySpreadConstraints)
	container := &t.Spec.Containers[0]
	container.Env = append(container.Env, corev1.EnvVar{Name: "DRAIN_TIMEOUT", Value: duration(drain(&in.Spec, c))})
	container.Ports = ports(in.Spec.Config.Port, c)
	container.StartupProbe = probe("/livez", 1, 3, 120) // a slow node may take two minutes
	container.LivenessProbe = probe("/livez", 10, 5, 3)
	container.ReadinessProbe = probe("/readyz", 5, 3, 3)
	return t
}

// drain is how long a stopping pod may wait for what it has begun: all of its grace but the delay before and the reserve after.
func drain(s *v1alpha1.EngLogInstanceSpec, c v1alpha1.ComponentName) int32 {
	if c == v1alpha1.Worker {
		return s.Worker.DrainTimeoutSeconds
	}
	return max(component(s, c).TerminationGracePeriodSeconds-s.Config.DrainDelaySeconds-drainReserve, 5)
}

// jobTemplate is the pod of a Job that runs the image of a component.
func jobTemplate(in Input, image v1alpha1.ComponentName, label string, args []string, references []revision.Reference) corev1.PodTemplateSpec {
	t := podTemplate(in, image, label, args, references)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return t
}

// podTemplate is what all pods have in common. It meets the restricted Pod Security Standard by construction.
func podTemplate(in Input, c v1alpha1.ComponentName, label string, args []string, references []revision.Reference) corev1.PodTemplateSpec {
	spec, credentials := component(&in.Spec, c), credentialsOf(references)
	container := corev1.Container{
		Name: label, Image: in.Spec.ImageFor(c), ImagePullPolicy: corev1.PullPolicy(in.Spec.Image.PullPolicy), Args: args,
		Env:                      append(ownEnvironment(spec), credentials.env...),
		VolumeMounts:             append([]corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}}, credentials.mounts...),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if spec.Resources != nil {
		container.Resources = *spec.Resources.DeepCopy()
	}
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(spec.PodLabels), Annotations: maps.Clone(spec.PodAnnotations)},
		Spec: corev1.PodSpec{
			Containers:         []corev1.Container{container},
			Volumes:            append([]corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}, credentials.volumes...),
			ServiceAccountName: serviceAccountName(in, c), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
			SecurityContext: restrictedPod(),
			NodeSelector:    spec.NodeSelector, Tolerations: spec.Tolerations, Affinity: spec.Affinity, PriorityClassName: spec.PriorityClassName,
		},
	}
	t.Spec.ImagePullSecrets = pullSecrets(in)
	trustBundle(&t.Spec, in.Spec.Config.CABundle)
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	maps.Copy(t.Labels, Labels(in.Instance.Name, label))
	return t
}

// ownEnvironment is what belongs to one component's pods: who they are, their limits, and what the user adds.
func ownEnvironment(spec v1alpha1.ComponentSpec) []corev1.EnvVar {
	env := []corev1.EnvVar{{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}}}
	env = append(env, limits(spec.Resources)...)
	for _, v := range spec.Env {
		if v.Value != nil {
			env = append(env, corev1.EnvVar{Name: v.Name, Value: *v.Value})
		}
	}
	return env
}

// limits tells the Go runtime what the pod may use. A tenth of the memory stays for what the runtime does not count.
func limits(r *corev1.ResourceRequirements) []corev1.EnvVar {
	if r == nil {
		return nil
	}
	var env []corev1.EnvVar
	if memory := r.Limits.Memory().Value(); memory > 0 {
		env = append(env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: strconv.FormatInt(memory/10*9, 10)})
	}
	if cpu := r.Limits.Cpu().MilliValue(); cpu > 0 {
		env = append(env, corev1.EnvVar{Name: "GOMAXPROCS", Value: strconv.FormatInt((cpu+999)/1000, 10)})
	}
	return env
}

func ports(http int32, c v1alpha1.ComponentName) []corev1.ContainerPort {
	admin := corev1.ContainerPort{Name: adminName, ContainerPort: adminPort, Protocol: corev1.ProtocolTCP}
	if c == v1alpha1.Worker {
		return []corev1.ContainerPort{admin}
	}
	return []corev1.ContainerPort{{Name: httpName, ContainerPort: http, Protocol: corev1.ProtocolTCP}, admin}
}

// probe asks the admin port, which no route exposes.
func probe(path string, period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(adminName), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: period, TimeoutSeconds: timeout, FailureThreshold: failures, SuccessThreshold: 1,
	}
}

func restrictedPod() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(user)), RunAsGroup: new(int64(user)), FSGroup: new(int64(user)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func restrictedContainer() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), RunAsNonRoot: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// trustBundle adds the user's certificates to those of the image: Go reads the directory beside the default file.
func trustBundle(pod *corev1.PodSpec, bundle *v1alpha1.ConfigMapKeyRef) {
	if bundle == nil {
		return
	}
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: bundle.Name},
		Items:                []corev1.KeyToPath{{Key: string(bundle.Key), Path: "ca.crt"}}, DefaultMode: new(int32(0o444)),
	}}})
	container := &pod.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "ca", MountPath: caPath, ReadOnly: true})
	container.Env = append(container.Env, corev1.EnvVar{Name: "SSL_CERT_DIR", Value: caPath})
}

// spread is what the user says, or over nodes and zones where that is possible. Pods are compared with those of their own ReplicaSet: the
// other color must not push them away.
func spread(instance string, c v1alpha1.ComponentName, given []corev1.TopologySpreadConstraint) []corev1.TopologySpreadConstraint {
	constraints := make([]corev1.TopologySpreadConstraint, 0, max(len(given), 2))
	for _, g := range given {
		constraints = append(constraints, *g.DeepCopy())
	}
	if len(given) == 0 {
		for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
			constraints = append(constraints, corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway})
		}
	}
	for i := range constraints {
		if constraints[i].LabelSelector == nil {
			constraints[i].LabelSelector = &metav1.LabelSelector{MatchLabels: selector(instance, string(c), "")}
			constraints[i].MatchLabelKeys = []string{"pod-template-hash"}
		}
	}
	return constraints
}

func pullSecrets(in Input) []corev1.LocalObjectReference {
	var all []corev1.LocalObjectReference
	for _, s := range in.Spec.Image.PullSecrets {
		all = append(all, corev1.LocalObjectReference{Name: s.Name})
	}
	return all
}

func serviceAccountName(in Input, c v1alpha1.ComponentName) string {
	if sa := component(&in.Spec, c).ServiceAccount; sa != nil && sa.Name != "" {
		return sa.Name
	}
	return plan.LiveName(in.Instance.Name, c)
}
