package rig_test

import (
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

var cluster *rig.Rig

func TestMain(m *testing.M) { os.Exit(rig.Main(m, rig.Options{}, &cluster)) }

func TestDeploymentBecomesReadyBehindItsService(t *testing.T) {
	namespace := cluster.Namespace(t)
	deployment := newDeployment(namespace, "web", 3)
	service := newService(namespace, "web")
	cluster.Create(t, deployment, service)

	cluster.Await(t, deployment, "3 ready replicas", func() bool { return deployment.Status.ReadyReplicas == 3 })
	if addresses := awaitEndpoints(t, namespace, "web", 3); addresses[0] == addresses[1] {
		t.Errorf("two pods share an address: %v", addresses)
	}
	if !strings.HasPrefix(service.Spec.ClusterIP, "10.96.") {
		t.Errorf("the Service has address %s, not one of 10.96.0.0/16", service.Spec.ClusterIP)
	}
}

func TestUnreadyPodsGetNoTrafficUntilTheRuleIsLifted(t *testing.T) {
	namespace := cluster.Namespace(t)
	lift := cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, Labels: map[string]string{"app": "web"}, Ready: rig.Never})
	deployment := newDeployment(namespace, "web", 2)
	cluster.Create(t, deployment, newService(namespace, "web"))

	cluster.Await(t, deployment, "2 replicas, none ready", func() bool {
		return deployment.Status.Replicas == 2 && deployment.Status.ReadyReplicas == 0 && deployment.Status.UnavailableReplicas == 2
	})
	awaitEndpoints(t, namespace, "web", 0)
	lift()
	cluster.Await(t, deployment, "2 ready replicas", func() bool { return deployment.Status.ReadyReplicas == 2 })
	awaitEndpoints(t, namespace, "web", 2)
}

func TestDelayPassesBeforeAPodIsReady(t *testing.T) {
	namespace := cluster.Namespace(t)
	const delay = 1500 * time.Millisecond
	cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, ImageContains: "slow", Delay: delay})
	deployment := newDeployment(namespace, "web", 1)
	deployment.Spec.Template.Spec.Containers[0].Image = "slow:1"
	begun := time.Now()
	cluster.Create(t, deployment)
	cluster.Await(t, deployment, "1 ready replica", func() bool { return deployment.Status.ReadyReplicas == 1 })
	if took := time.Since(begun); took < delay {
		t.Errorf("ready after %s although the rule delays it by %s", took, delay)
	}
}

func TestFaultsShowInThePod(t *testing.T) {
	for _, fault := range []rig.Fault{rig.ImagePullBackOff, rig.CrashLoopBackOff, rig.CreateContainerConfigError} {
		t.Run(string(fault), func(t *testing.T) {
			namespace := cluster.Namespace(t)
			cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, Fault: fault})
			pod := newPod(namespace, "broken")
			cluster.Create(t, pod)
			cluster.Await(t, pod, "a waiting container", func() bool {
				statuses := pod.Status.ContainerStatuses
				return len(statuses) == 1 && statuses[0].State.Waiting != nil && statuses[0].State.Waiting.Reason == string(fault)
			})
		})
	}
	t.Run("Unschedulable", func(t *testing.T) {
		namespace := cluster.Namespace(t)
		cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, Fault: rig.Unschedulable})
		pod := newPod(namespace, "homeless")
		cluster.Create(t, pod)
		cluster.Await(t, pod, "the condition PodScheduled=False", func() bool {
			return len(pod.Status.Conditions) == 1 && pod.Status.Conditions[0].Reason == corev1.PodReasonUnschedulable
		})
	})
}

func TestJobEndsWithTheRulesMessage(t *testing.T) {
	tests := map[string]struct {
		rule      rig.Rule
		condition batchv1.JobConditionType
	}{
		"success": {rig.Rule{Message: `{"current":4}`}, batchv1.JobComplete},
		"failure": {rig.Rule{Message: `{"error":"no"}`, ExitCode: 3}, batchv1.JobFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			namespace := cluster.Namespace(t)
			test.rule.Namespace = namespace
			cluster.Kubelet.Rule(t, test.rule)
			job := newJob(namespace, "migrate")
			cluster.Create(t, job)
			cluster.Await(t, job, string(test.condition), func() bool { return jobHas(job, test.condition) })

			var pods corev1.PodList
			if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
				t.Fatal(err)
			}
			end := pods.Items[0].Status.ContainerStatuses[0].State.Terminated
			if end == nil || end.Message != test.rule.Message || end.ExitCode != test.rule.ExitCode {
				t.Errorf("the container ended with %+v", end)
			}
		})
	}
}

func TestDeletedPodsGoAndStuckOnesStay(t *testing.T) {
	namespace := cluster.Namespace(t)
	pod, stuck := newPod(namespace, "goes"), newPod(namespace, "stays")
	stuck.Labels = map[string]string{"node": "dead"}
	revive := cluster.Kubelet.Rule(t, rig.Rule{Namespace: namespace, Labels: stuck.Labels, Stuck: true})
	cluster.Create(t, pod, stuck)
	for _, each := range []*corev1.Pod{pod, stuck} {
		cluster.Await(t, each, "Running", func() bool { return each.Status.Phase == corev1.PodRunning })
		if err := cluster.Client.Delete(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	cluster.AwaitGone(t, pod)
	cluster.Await(t, stuck, "Terminating", func() bool { return stuck.DeletionTimestamp != nil })
	revive()
	cluster.AwaitGone(t, stuck)
}

func TestChildrenAreGarbageCollected(t *testing.T) {
	namespace := cluster.Namespace(t)
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "owner"}}
	cluster.Create(t, owner)
	child := newDeployment(namespace, "child", 1)
	child.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	cluster.Create(t, child)
	cluster.Await(t, child, "1 ready replica", func() bool { return child.Status.ReadyReplicas == 1 })
	if err := cluster.Client.Delete(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	cluster.AwaitGone(t, child)
}

func TestCallsAreCounted(t *testing.T) {
	namespace := cluster.Namespace(t)
	config, calls := cluster.ConfigAs("tested")
	tested, err := client.New(config, client.Options{Scheme: cluster.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	object := newDeployment(namespace, "counted", 0)
	if err := tested.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := tested.Status().Update(t.Context(), object); err != nil && !apierrors.IsConflict(err) {
		t.Fatal(err)
	}
	made := calls.Since(begun)
	if want := "PUT deployments/status " + namespace + "/counted"; len(made) != 1 || made[0].String() != want {
		t.Errorf("calls are %v, want only %s", made, want)
	}
}

// awaitEndpoints waits until the slice of a Service lists so many ready addresses, and returns them.
func awaitEndpoints(t *testing.T, namespace, service string, count int) []string {
	t.Helper()
	var slices discoveryv1.EndpointSliceList
	var addresses []string
	cluster.AwaitList(t, &slices, "slice with the ready endpoints", func() bool {
		if len(slices.Items) != 1 {
			return false
		}
		addresses = readyAddresses(&slices.Items[0])
		return len(addresses) == count
	}, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})
	return addresses
}

func readyAddresses(slice *discoveryv1.EndpointSlice) []string {
	var addresses []string
	for _, endpoint := range slice.Endpoints {
		if ptr.Deref(endpoint.Conditions.Ready, true) {
			addresses = append(addresses, endpoint.Addresses...)
		}
	}
	return addresses
}

func jobHas(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Type == kind && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "web:1"}}},
	}
}

func newDeployment(namespace, name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template(),
		},
	}
}

func newService(namespace, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

func newPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: template().Spec}
}

func newJob(namespace, name string) *batchv1.Job {
	pod := template()
	pod.Labels = nil
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       batchv1.JobSpec{BackoffLimit: ptr.To[int32](0), Template: pod},
	}
}
