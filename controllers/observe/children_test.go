package observe

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func labelled(name, component, color, revision string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{
		InstanceLabel: "demo", ComponentLabel: component, ColorLabel: color, RevisionLabel: revision,
	}}
}

// A failed Job has no completionTime, and one that succeeded may have counted failures before.
func TestJobsAreReadByTheirConditions(t *testing.T) {
	condition := func(kind batchv1.JobConditionType) []batchv1.JobCondition {
		return []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "too many"}}
	}
	tests := map[string]struct {
		status batchv1.JobStatus
		want   world.JobPhase
	}{
		"has begun":               {batchv1.JobStatus{Active: 1}, world.JobActive},
		"is about to fail":        {batchv1.JobStatus{Conditions: condition(batchv1.JobFailureTarget)}, world.JobActive},
		"failed":                  {batchv1.JobStatus{Failed: 3, Conditions: condition(batchv1.JobFailed)}, world.JobFailed},
		"succeeded after a retry": {batchv1.JobStatus{Failed: 1, Succeeded: 1, Conditions: condition(batchv1.JobComplete)}, world.JobComplete},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := &children{}
			j := &batchv1.Job{ObjectMeta: labelled("demo-migrate-a-1", "migrate", "", "a"), Status: test.status}
			if got := c.job(j); got.Phase != test.want || got.Component != "migrate" || got.Revision != "a" {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

func TestTheNewestWordsOfAJobCount(t *testing.T) {
	at := func(minute int) metav1.Time { return metav1.NewTime(time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)) }
	pod := func(minute int, message string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{batchv1.JobNameLabel: "j"}, CreationTimestamp: at(minute)}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", Message: message, FinishedAt: at(minute + 1),
		}}}}
		return p
	}
	c := &children{pods: corev1.PodList{Items: []corev1.Pod{pod(5, "second"), pod(1, "first")}}}
	c.pods.Items[1].Status.InitContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "plan"}}}}
	if message, plan, wait := c.lastWords(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}}); message != "second" || plan != "plan" || wait != "Error: second" {
		t.Errorf("got %q, %q, %q", message, plan, wait)
	}
}

// TestJobWithoutANode: a Job whose pod finds no node has not begun, so that it holds nothing up, and says what it waits for.
func TestJobWithoutANode(t *testing.T) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{batchv1.JobNameLabel: "j"}}}
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes: Insufficient cpu"},
	}
	c := &children{pods: corev1.PodList{Items: []corev1.Pod{p}}}
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}, Status: batchv1.JobStatus{Active: 1}}
	if got := c.job(j); got.Waiting != "Unschedulable: 0/1 nodes: Insufficient cpu" || !got.Unstarted {
		t.Errorf("got %+v", got)
	}
	c.pods.Items[0].Status.Conditions[0].Status, c.pods.Items[0].Status.Conditions[0].Reason = corev1.ConditionTrue, ""
	if got := c.job(j); got.Waiting != "" || got.Unstarted {
		t.Errorf("with a node: %+v", got)
	}
}

func TestPodsTellWhyTheyDoNotRun(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: labelled("p", "api", "green", "a")}
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes"},
		{Type: corev1.PodReady, Status: corev1.ConditionFalse},
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}}}}
	got := pod(p)
	if got.Ready || got.Unschedulable != "Unschedulable: 0/3 nodes" || got.Waiting != "ImagePullBackOff: not found" {
		t.Errorf("got %+v", got)
	}
	p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	if got := pod(p); got.Waiting != "" {
		t.Errorf("an ordinary start is reported: %q", got.Waiting)
	}
}

func TestEndpointsAreCountedByRevision(t *testing.T) {
	ready, notReady := true, false
	endpoint := func(pod string, ready *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ready}, TargetRef: &corev1.ObjectReference{Name: pod}}
	}
	c := &children{
		pods: corev1.PodList{Items: []corev1.Pod{
			{ObjectMeta: labelled("a1", "api", "blue", "a")}, {ObjectMeta: labelled("a2", "api", "blue", "a")}, {ObjectMeta: labelled("b1", "api", "green", "b")},
		}},
		services: corev1.ServiceList{Items: []corev1.Service{
			{
				ObjectMeta: metav1.ObjectMeta{Name: "demo-api", Labels: map[string]string{ComponentLabel: "api"}, Annotations: map[string]string{EpochKey: "7"}},
				Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.9", Selector: map[string]string{ColorLabel: "blue", RevisionLabel: "a"}},
			},
			{ObjectMeta: labelled("demo-api-green", "api", "green", "b")},
		}},
		slices: discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kubernetes.io/service-name": "demo-api"}},
			Endpoints:  []discoveryv1.Endpoint{endpoint("a1", &ready), endpoint("a2", &notReady), endpoint("b1", &ready)},
		}}},
	}
	live, previews := c.routes("demo")
	r := live[v1alpha1.API]
	if r.Color != v1alpha1.Blue || r.Revision != "a" || r.Epoch != 7 || r.Endpoints.ClusterIP != "10.96.0.9" {
		t.Errorf("the route is %+v", r)
	}
	if of, others := r.Endpoints.Of("a"); of != 1 || others != 1 {
		t.Errorf("%d endpoints of a and %d others", of, others)
	}
	if _, ok := previews[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Green}]; !ok || len(live) != 1 {
		t.Errorf("previews are %v", previews)
	}
}

// Two Deployments of one component in two colors are two slots, and pods that have ended count for nothing.
func TestWorkloadsBySlot(t *testing.T) {
	three := int32(3)
	ended := corev1.Pod{ObjectMeta: labelled("old", "api", "blue", "a")}
	ended.Status.Phase = corev1.PodSucceeded
	c := &children{
		deployments: appsv1.DeploymentList{Items: []appsv1.Deployment{{ObjectMeta: labelled("demo-api-blue", "api", "blue", "a"), Spec: appsv1.DeploymentSpec{
			Replicas: &three, Template: corev1.PodTemplateSpec{ObjectMeta: labelled("", "api", "blue", "a")},
		}}}},
		pods: corev1.PodList{Items: []corev1.Pod{ended, {ObjectMeta: labelled("p", "api", "blue", "a")}, {ObjectMeta: labelled("q", "api", "green", "b")}}},
	}
	all := c.workloads()
	blue, green := all[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Blue}], all[world.Slot{Component: v1alpha1.API, Color: v1alpha1.Green}]
	if !blue.Exists || blue.Replicas != 3 || blue.Revision != "a" || len(blue.Pods) != 1 {
		t.Errorf("blue is %+v", blue)
	}
	if green.Exists || len(green.Pods) != 1 {
		t.Errorf("green is %+v", green)
	}
}
