package render

import (
	_ "embed"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

// The scripts that start the stores. They need a shell and the servers' own programs, and nothing of an image's entry point.
var (
	//go:embed scripts/postgresql.sh
	postgresqlScript string
	//go:embed scripts/redis.sh
	redisScript string
)

// storeUser is the user of the official images of both servers on Debian.
const storeUser = 999

const (
	storeData        = "/var/lib/store"
	storeCredentials = "/etc/englog/credentials/store"
	storeScripts     = "/etc/englog/store"
)

// managedStore is one of the stores that the operator runs beside an instance.
type managedStore struct {
	component string
	port      int32
	image     string
	script    string
	storage   v1alpha1.StorageSpec
	resources *corev1.ResourceRequirements
	env       []corev1.EnvVar
	// keys are those of the Secret with the credentials that the server itself reads.
	keys []string
	// ready asks the server whether it answers; stop ends it in good order.
	ready, stop string
}

// stores lists the stores that are Managed.
func stores(in Input) []managedStore {
	var all []managedStore
	if m := in.Spec.Database.Managed; in.Spec.Database.Type == v1alpha1.StoreManaged && m != nil {
		all = append(all, postgresql(in, m))
	}
	if m := in.Spec.Cache.Managed; in.Spec.Cache.Type == v1alpha1.StoreManaged && m != nil {
		all = append(all, managedStore{
			component: revision.Cache, port: 6379, image: m.Image, script: redisScript, storage: *m.Storage, resources: m.Resources,
			keys: []string{"password"}, env: memoryOf(m.Resources), ready: "exec sh " + storeScripts + "/start.sh ready",
		})
	}
	return all
}

func postgresql(in Input, m *v1alpha1.ManagedDatabase) managedStore {
	return managedStore{
		component: revision.Database, port: 5432, image: m.Image, script: postgresqlScript, storage: *m.Storage, resources: m.Resources,
		keys: []string{"username", "password", "ownerPassword", "superuserPassword"},
		env: []corev1.EnvVar{
			{Name: "MAJOR", Value: number(m.MajorVersion)},
			{Name: "MAX_CONNECTIONS", Value: number(in.Spec.Database.MaxConnections + 10)}, // ten for people and backups
		},
		ready: "exec sh " + storeScripts + "/start.sh ready", stop: "exec sh " + storeScripts + "/start.sh stop",
	}
}

// memoryOf leaves a quarter of the memory for what Redis needs beside its data: buffers, and the copy while it rewrites its file.
func memoryOf(r *corev1.ResourceRequirements) []corev1.EnvVar {
	if r == nil || r.Limits.Memory().IsZero() {
		return nil
	}
	return []corev1.EnvVar{{Name: "MAX_MEMORY", Value: quantity(r.Limits.Memory().Value() / 4 * 3).String()}}
}

// store is a Managed store: its pod, its volume and its Service. The volume outlives the instance; so does the Secret with the credentials,
// which is made elsewhere since nothing here may be random.
func store(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	for _, s := range stores(in) {
		if s.component != string(e.Component) {
			continue
		}
		name, made, err := storeSnapshot(in, s)
		if err != nil {
			return nil, err
		}
		record, err := storeRecord(in, s, name, made)
		if err != nil {
			return nil, err
		}
		set, err := statefulSet(in, s, made.Template)
		if err != nil {
			return nil, err
		}
		policy, err := storePolicy(in, s)
		if err != nil {
			return nil, err
		}
		return append([]runtime.ApplyConfiguration{record, volumeClaim(in, s), scriptMap(in, s, made.Script), storeService(in, s), set}, policy...), nil
	}
	return nil, nil
}

// storeSnapshot is what a store's pod is made from: what is stored of it, so that another template of a newer operator restarts nothing, or
// else what this operator makes of the spec.
func storeSnapshot(in Input, s managedStore) (string, revision.StoreSnapshot, error) {
	name, err := revision.StoreRecord(in.Instance, s.component)
	if stored, ok := in.Stores[name]; ok {
		return name, stored, err
	}
	return name, revision.StoreSnapshot{Script: s.script, Template: storePod(in, s)}, err
}

// storeRecord stores the snapshot, before anything is made from it.
func storeRecord(in Input, s managedStore, name string, made revision.StoreSnapshot) (runtime.ApplyConfiguration, error) {
	encoded, err := made.Encode()
	if err != nil {
		return nil, err
	}
	labels := Labels(in.Instance.Name, s.component)
	labels[StoreRecordLabel] = s.component
	return appsv1ac.ControllerRevision(name, in.Instance.Namespace).WithLabels(labels).WithOwnerReferences(in.owner()).
		WithRevision(1).WithData(runtime.RawExtension{Raw: encoded}), nil
}

func storeName(in Input, s managedStore) string {
	return revision.StoreName(in.Instance.Name, s.component)
}

// volumeClaim has no owner: deleting the instance keeps the data, and an instance of the same name takes it up again.
func volumeClaim(in Input, s managedStore) runtime.ApplyConfiguration {
	labels := Labels(in.Instance.Name, s.component)
	labels[KeptLabel] = "data"
	spec := corev1ac.PersistentVolumeClaimSpec().WithAccessModes(corev1.ReadWriteOnce).WithResources(
		corev1ac.VolumeResourceRequirements().WithRequests(corev1.ResourceList{corev1.ResourceStorage: *s.storage.Size}))
	if class := s.storage.StorageClassName; class != "" {
		spec.WithStorageClassName(class)
	}
	return corev1ac.PersistentVolumeClaim(storeName(in, s), in.Instance.Namespace).WithLabels(labels).WithSpec(spec)
}

func scriptMap(in Input, s managedStore, script string) runtime.ApplyConfiguration {
	return corev1ac.ConfigMap(storeName(in, s), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, s.component)).WithOwnerReferences(in.owner()).
		WithData(map[string]string{"start.sh": script})
}

func storeService(in Input, s managedStore) runtime.ApplyConfiguration {
	return corev1ac.Service(storeName(in, s), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, s.component)).WithOwnerReferences(in.owner()).
		WithSpec(corev1ac.ServiceSpec().WithType(corev1.ServiceTypeClusterIP).WithSelector(selector(in.Instance.Name, s.component, "")).
			WithPorts(corev1ac.ServicePort().WithName(s.component).WithPort(s.port).WithTargetPort(intstr.FromString(s.component)).WithProtocol(corev1.ProtocolTCP)))
}

func statefulSet(in Input, s managedStore, pod corev1.PodTemplateSpec) (runtime.ApplyConfiguration, error) {
	template, err := convert[corev1ac.PodTemplateSpecApplyConfiguration](pod)
	if err != nil {
		return nil, err
	}
	return appsv1ac.StatefulSet(storeName(in, s), in.Instance.Namespace).
		WithLabels(Labels(in.Instance.Name, s.component)).WithOwnerReferences(in.owner()).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(1).WithServiceName(storeName(in, s)).WithRevisionHistoryLimit(1).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(in.Instance.Name, s.component, ""))).
			WithTemplate(template)), nil
}

// storePod meets the restricted Pod Security Standard too.
func storePod(in Input, s managedStore) corev1.PodTemplateSpec {
	container := corev1.Container{
		Name: s.component, Image: s.image, Command: []string{"sh", storeScripts + "/start.sh"},
		Env:   append([]corev1.EnvVar{{Name: "DATA", Value: storeData + "/data"}, {Name: "CREDENTIALS", Value: storeCredentials}}, s.env...),
		Ports: []corev1.ContainerPort{{Name: s.component, ContainerPort: s.port, Protocol: corev1.ProtocolTCP}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "data", MountPath: storeData}, {Name: "tmp", MountPath: "/tmp"},
			{Name: "scripts", MountPath: storeScripts, ReadOnly: true}, {Name: "credentials", MountPath: storeCredentials, ReadOnly: true},
		},
		StartupProbe: command(s.ready, 2, 150), ReadinessProbe: command(s.ready, 5, 3), // recovery after a crash may take minutes
		SecurityContext: restrictedContainer(), TerminationMessagePath: corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if s.resources != nil {
		container.Resources = *s.resources.DeepCopy()
	}
	if s.stop != "" {
		container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", s.stop}}}}
	}
	security := restrictedPod()
	security.RunAsUser, security.RunAsGroup, security.FSGroup = new(int64(storeUser)), new(int64(storeUser)), new(int64(storeUser))
	security.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: Labels(in.Instance.Name, s.component)},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{container}, Volumes: storeVolumes(in, s), SecurityContext: security,
			AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false), TerminationGracePeriodSeconds: new(int64(60)),
			ImagePullSecrets: pullSecrets(in),
		},
	}
}

func storeVolumes(in Input, s managedStore) []corev1.Volume {
	credentials := &corev1.SecretVolumeSource{SecretName: storeName(in, s), DefaultMode: new(int32(0o440))}
	for _, key := range s.keys {
		credentials.Items = append(credentials.Items, corev1.KeyToPath{Key: key, Path: key})
	}
	return []corev1.Volume{
		{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: storeName(in, s)}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "scripts", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: storeName(in, s)}, DefaultMode: new(int32(0o555)),
		}}},
		{Name: "credentials", VolumeSource: corev1.VolumeSource{Secret: credentials}},
	}
}

func command(text string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", text}}},
		PeriodSeconds: period, TimeoutSeconds: 3, FailureThreshold: failures, SuccessThreshold: 1,
	}
}

// storePolicy lets only the instance's own pods in, and the server nowhere out.
func storePolicy(in Input, s managedStore) ([]runtime.ApplyConfiguration, error) {
	if in.Spec.NetworkPolicy.Mode == v1alpha1.NetworkPolicyDisabled {
		return nil, nil
	}
	clients := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{InstanceLabel: in.Instance.Name},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: ComponentLabel, Operator: metav1.LabelSelectorOpIn, Values: []string{
			string(v1alpha1.API), string(v1alpha1.Worker), migrateComponent, checkComponent,
		}}},
	}}
	return networkPolicy(in, storeName(in, s), s.component, metav1ac.LabelSelector().WithMatchLabels(selector(in.Instance.Name, s.component, "")),
		networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: tcp(s.port), From: []networkingv1.NetworkPolicyPeer{clients}}}})
}

func quantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }
