package render

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

func slotOf(e plan.Ensure) world.Slot { return world.Slot{Component: e.Component, Color: e.Color} }

func slotLabels(in Input, e plan.Ensure) map[string]string {
	l := Labels(in.Instance.Name, string(e.Component))
	l[ColorLabel] = lower(e.Color)
	return l
}

// deployment runs a component of a revision in a color, from the revision's snapshot. It never says how many: replicas belong to the scale
// subresource and to the autoscaler.
func deployment(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	s, err := in.snapshot(e.Revision)
	if err != nil {
		return nil, err
	}
	stored, ok := s.Templates[e.Component]
	if !ok {
		return nil, fmt.Errorf("revision %s has no pods of %s", e.Revision, e.Component)
	}
	template, err := convert[corev1ac.PodTemplateSpecApplyConfiguration](colored(in, e, *stored.DeepCopy(), s.Version))
	if err != nil {
		return nil, err
	}
	labels := slotLabels(in, e)
	labels[RevisionLabel], labels[VersionLabel] = e.Revision, labelValue(s.Version)
	return one(appsv1ac.Deployment(plan.SlotName(in.Instance.Name, slotOf(e)), in.Instance.Namespace).
		WithLabels(labels).WithOwnerReferences(in.owner()).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(in.Instance.Name, string(e.Component), e.Color))).
			WithTemplate(template).
			WithMinReadySeconds(0).
			WithRevisionHistoryLimit(1). // the history of an instance is that of its revisions
			WithProgressDeadlineSeconds(3600).
			WithStrategy(appsv1ac.DeploymentStrategy().WithType("RollingUpdate").WithRollingUpdate(
				appsv1ac.RollingUpdateDeployment().WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromString("25%")))))), nil
}

// colored adds to a stored pod what depends on revision and color, and the token of a restart in place.
func colored(in Input, e plan.Ensure, t corev1.PodTemplateSpec, version string) corev1.PodTemplateSpec {
	t = revised(in, e.Revision, version, t)
	t.Labels[ColorLabel] = lower(e.Color)
	if token := in.Spec.RestartToken; token != "" {
		if t.Annotations == nil {
			t.Annotations = map[string]string{}
		}
		t.Annotations[RestartKey] = token
	}
	env := []corev1.EnvVar{{Name: "ENGLOG_COLOR", Value: lower(e.Color)}}
	if e.Component == v1alpha1.Frontend {
		api := plan.SlotName(in.Instance.Name, world.Slot{Component: v1alpha1.API, Color: e.Color})
		env = append(env, corev1.EnvVar{Name: "API_URL", Value: fmt.Sprintf("http://%s.%s.svc", api, in.Instance.Namespace)})
	}
	t.Spec.Containers[0].Env = append(env, t.Spec.Containers[0].Env...)
	return t
}

// revised adds what depends on the revision alone.
func revised(in Input, name, version string, t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t.Labels[RevisionLabel], t.Labels[VersionLabel] = name, labelValue(version)
	config := []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: plan.ConfigName(in.Instance.Name, name)},
	}}}
	for _, containers := range [][]corev1.Container{t.Spec.InitContainers, t.Spec.Containers} {
		for i := range containers {
			containers[i].EnvFrom = config
		}
	}
	return t
}

// disruptionBudget lets nodes be drained one pod at a time. Pods that are not ready hold no drain up.
func disruptionBudget(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	return one(policyv1ac.PodDisruptionBudget(plan.SlotName(in.Instance.Name, slotOf(e)), in.Instance.Namespace).
		WithLabels(slotLabels(in, e)).WithOwnerReferences(in.owner()).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).WithUnhealthyPodEvictionPolicy("AlwaysAllow").
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(in.Instance.Name, string(e.Component), e.Color))))), nil
}

// autoscaler scales one color's Deployment within the bounds that the plan sets.
func autoscaler(in Input, e plan.Ensure) ([]runtime.ApplyConfiguration, error) {
	metrics, behavior := scaling(in, e.Component)
	name := plan.SlotName(in.Instance.Name, slotOf(e))
	spec, err := convert[autoscalingv2ac.HorizontalPodAutoscalerSpecApplyConfiguration](autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		MinReplicas:    new(e.Min), MaxReplicas: e.Max, Metrics: metrics, Behavior: behavior,
	})
	if err != nil {
		return nil, err
	}
	return one(autoscalingv2ac.HorizontalPodAutoscaler(name, in.Instance.Namespace).
		WithLabels(slotLabels(in, e)).WithOwnerReferences(in.owner()).WithSpec(spec)), nil
}

// scaling is what an autoscaler looks at: CPU (memory would pin a warm Go process at the maximum, X47), the age of the queue for workers,
// and what the user adds.
func scaling(in Input, c v1alpha1.ComponentName) ([]autoscalingv2.MetricSpec, *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	var a *v1alpha1.AutoscalingSpec
	var metrics []autoscalingv2.MetricSpec
	switch c {
	case v1alpha1.API:
		a = in.Spec.API.Autoscaling
	case v1alpha1.Frontend:
		a = in.Spec.Frontend.Autoscaling
	case v1alpha1.Worker:
		if w := in.Spec.Worker.Autoscaling; w != nil {
			a = &w.AutoscalingSpec
			metrics = queueAge(in, w)
		}
	}
	if a == nil {
		return nil, nil
	}
	if target := a.TargetCPUUtilizationPercentage; target > 0 {
		metrics = append(metrics, autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
			Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target},
		}})
	}
	return append(metrics, a.Metrics...), a.Behavior
}

// queueAge asks an external metrics server for the age of this instance's oldest waiting task. The value is not averaged over the pods:
// ten times the target means ten times the workers.
func queueAge(in Input, w *v1alpha1.WorkerAutoscalingSpec) []autoscalingv2.MetricSpec {
	if w.TargetQueueAgeSeconds == 0 {
		return nil
	}
	return []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: w.QueueAgeMetric, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
			"instance": in.Instance.Name, "namespace": in.Instance.Namespace,
		}}},
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: quantity(int64(w.TargetQueueAgeSeconds))},
	}}}
}
