package operator

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

func TestConnectionBudgetCapsTheAutoscaler(t *testing.T) {
	t.Parallel()
	covers(t, "X11", "I6")
	instance := install(t, autoscaled, func(i *v1alpha1.EngLogInstance) { i.Spec.Database.MaxConnections = 42 })
	config := fetch(t, &corev1.ConfigMap{}, instance.Namespace, "demo-config-"+instance.Status.Active.Revision).Data
	if config["DB_MAX_CONNS"] != "2" { // (42 - 2) connections for both colors of 6 API pods and 2 workers
		t.Errorf("a pod has %s connections", config["DB_MAX_CONNS"])
	}
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.API.Autoscaling.MaxReplicas = 40 })
	message := awaitWarning(t, instance, "maxReplicas: at most")
	mentions(t, message, "spec.api.autoscaling.maxReplicas", "of 40 pods", "spec.database.maxConnections is 42", "raise maxConnections or lower maxReplicas")
	h := scaler(instance.Namespace, "demo-api-blue")
	cluster.Await(t, h, "the capped maximum", func() bool { return h.Spec.MaxReplicas == 9 }) // 20 connections a color are 10 pods, a worker among them
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}

func TestQuotaWithoutRoomForTheCandidate(t *testing.T) {
	t.Parallel()
	covers(t, "X80")
	instance := install(t, func(i *v1alpha1.EngLogInstance) { i.Spec.Rollout.ProgressDeadlineSeconds = 60 })
	pods := &corev1.PodList{}
	if err := cluster.Client.List(t.Context(), pods, client.InNamespace(instance.Namespace), client.HasLabels{"englog.io/color"}); err != nil {
		t.Fatal(err)
	}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "team"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(int64(len(pods.Items))+2, resource.DecimalSI)}},
	}
	cluster.Create(t, quota)
	cluster.Await(t, quota, "a counted quota", func() bool { return len(quota.Status.Used) > 0 })
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionReconciling, "True", "QuotaExceeded")
	mentions(t, message, "ResourceQuota team leaves", "of pods", "raise the ResourceQuota")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	before := quota.DeepCopy()
	quota.Spec.Hard[corev1.ResourcePods] = resource.MustParse("100")
	if err := cluster.Client.Patch(t.Context(), quota, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	awaitStep(t, instance, v1alpha1.StepRetaining)
	serves(t, instance, "1.1.0", v1alpha1.Green)
}

func TestCandidateThatFindsNoNode(t *testing.T) {
	t.Parallel()
	covers(t, "X80")
	instance := install(t)
	full := cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: instance.Namespace, Labels: map[string]string{"englog.io/color": "green", "app.kubernetes.io/component": "api"}, Fault: rig.Unschedulable,
	})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionReconciling, "True", "NotEnoughReady")
	mentions(t, message, "api pods are ready in green", "Unschedulable")
	if status, _, stalled := condition(instance, v1alpha1.ConditionStalled); status != "False" {
		t.Errorf("it is stuck: %s", stalled)
	}
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	full() // a node with room has come
	awaitStep(t, instance, v1alpha1.StepRetaining)
	serves(t, instance, "1.1.0", v1alpha1.Green)
}

func TestMigrationThatFindsNoNode(t *testing.T) {
	t.Parallel()
	covers(t, "X80")
	instance := install(t)
	cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: instance.Namespace, ImageContains: ":1.1.0", Labels: map[string]string{"app.kubernetes.io/component": "migrate"}, Fault: rig.Unschedulable,
	})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	told := ""
	cluster.Await(t, instance, "a word about the Job without a node", func() bool {
		_, _, told = condition(instance, v1alpha1.ConditionReconciling)
		return strings.Contains(told, "Unschedulable")
	})
	mentions(t, told, "migration Job demo-migrate-", "waits")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.0.0" }) // a Job that never begins is not awaited
	awaitStep(t, instance, v1alpha1.StepStable)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}
