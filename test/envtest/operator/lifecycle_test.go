package operator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// childLists are lists of every kind of child that tests look at.
func childLists() []client.ObjectList {
	return []client.ObjectList{
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.ControllerRevisionList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{},
		&corev1.SecretList{}, &corev1.ServiceAccountList{}, &corev1.PodList{}, &batchv1.JobList{}, &autoscalingv2.HorizontalPodAutoscalerList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{}, &networkingv1.IngressList{}, &corev1.PersistentVolumeClaimList{},
	}
}

// childrenOf lists what belongs to an instance.
func childrenOf(t *testing.T, instance *v1alpha1.EngLogInstance) []client.Object {
	t.Helper()
	var all []client.Object
	for _, list := range childLists() {
		err := cluster.Client.List(t.Context(), list, client.InNamespace(instance.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": instance.Name})
		if err != nil {
			t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if o, ok := item.(client.Object); ok {
				all = append(all, o)
			}
		}
	}
	return all
}

func remove(t *testing.T, instance *v1alpha1.EngLogInstance) {
	t.Helper()
	if err := cluster.Client.Delete(t.Context(), instance); err != nil {
		t.Fatal(err)
	}
	cluster.AwaitGone(t, instance)
}

func TestDeletionLeavesNothing(t *testing.T) {
	t.Parallel()
	covers(t, "X71")
	instance := draft(t, autoscaled)
	migrated(t, instance.Namespace)
	given := secretFor(instance)
	delete(given.StringData, "JWT_SECRET") // so that the operator makes one up
	cluster.Create(t, given, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	children := childrenOf(t, instance)
	if !slices.ContainsFunc(children, func(o client.Object) bool { return o.GetName() == "demo-generated" }) {
		t.Fatal("the operator keeps no Secret of its own")
	}
	remove(t, instance)
	for _, list := range childLists() {
		cluster.AwaitList(t, list, "end of the children", func() bool { return meta.LenList(list) == 0 },
			client.InNamespace(instance.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": instance.Name})
	}
	untouched(t, given)
}

// reconciles is how often any operator of this process has reconciled.
func reconciles(t *testing.T) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// TestQuietMinute is not parallel: any other instance would be noise.
func TestQuietMinute(t *testing.T) {
	covers(t, "X46")
	instance := install(t, autoscaled)
	awaitStep(t, instance, v1alpha1.StepStable)
	alone(t)
	quiet(t, 3*time.Second) // the last events of the installation
	before := reconciles(t)
	made := quiet(t, time.Minute)
	if after := reconciles(t); after != before {
		t.Errorf("%v reconciles at rest", after-before)
	}
	reads := map[string]int{}
	for _, c := range made {
		if reads[c.String()]++; c.Verb != "GET" || c.Resource != "secrets" || reads[c.String()] > 1 {
			t.Errorf("a call at rest: %s", c)
		}
	}
}

// applies counts the writes of each child.
func applies(made []rig.Call) map[string]int {
	n := map[string]int{}
	for _, c := range made {
		if c.Verb == "PATCH" && c.Resource != "engloginstances/status" {
			n[c.String()]++
		}
	}
	return n
}

// TestRestartAtRest is not parallel: it ends the operator.
func TestRestartAtRest(t *testing.T) {
	instance := install(t, autoscaled)
	awaitStep(t, instance, v1alpha1.StepStable)
	alone(t)
	before := versions(childrenOf(t, instance))
	begun := time.Now()
	restartOperator(t, time.Now)
	quiet(t, 4*time.Second)
	for child, n := range applies(about(instance, calls.Since(begun))) {
		if n > 1 {
			t.Errorf("%d times: %s", n, child)
		}
	}
	for name, version := range versions(childrenOf(t, instance)) {
		if before[name] != version {
			t.Errorf("%s was changed by an operator that had nothing to do", name)
		}
	}
}

// versions are the resourceVersions of objects whose status nobody keeps on writing.
func versions(objects []client.Object) map[string]string {
	all := map[string]string{}
	for _, o := range objects {
		if _, busy := o.(*autoscalingv2.HorizontalPodAutoscaler); !busy {
			all[fmt.Sprintf("%T %s", o, o.GetName())] = o.GetResourceVersion()
		}
	}
	return all
}

// TestRestartInEachStep is not parallel: it ends the operator.
func TestRestartInEachStep(t *testing.T) {
	covers(t, "X84", "X86", "X87")
	instance := install(t, func(i *v1alpha1.EngLogInstance) { i.Spec.Rollout.ProgressDeadlineSeconds = 60 })
	pods := podsOf(t, instance, "blue")
	cluster.Kubelet.Rule(t, rig.Rule{Namespace: instance.Namespace, Labels: map[string]string{"englog.io/color": "green"}, Delay: 2 * time.Second})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	interrupted := map[v1alpha1.Step]bool{}
	for !interrupted[v1alpha1.StepContracting] && !promoted(instance) {
		var step v1alpha1.Step
		cluster.Await(t, instance, "another step", func() bool {
			step = instance.Status.Rollout.Step
			return promoted(instance) || step != v1alpha1.StepStable && !interrupted[step]
		})
		if promoted(instance) {
			break
		}
		if step == v1alpha1.StepConfirming {
			if now := podsOf(t, instance, "blue"); !slices.Equal(pods, now) {
				t.Errorf("pods of the old color were replaced: %v, then %v", pods, now)
			}
		}
		interrupted[step] = true
		restartOperator(t, time.Now)
	}
	awaitStep(t, instance, v1alpha1.StepStable)
	t.Logf("interrupted in %v", interrupted)
	if len(interrupted) < 7 {
		t.Errorf("only %d steps were interrupted", len(interrupted))
	}
	if h := instance.Status.History[0]; h.Outcome != v1alpha1.OutcomePromoted || instance.Status.Rollout.Attempt != 1 {
		t.Errorf("the rollout ended as %v, attempt %d", h, instance.Status.Rollout.Attempt)
	}
	serves(t, instance, "1.1.0", v1alpha1.Green)
	onceMigrated(t, instance)
}

func promoted(instance *v1alpha1.EngLogInstance) bool {
	a := instance.Status.Active
	return a != nil && a.Version == "1.1.0" && instance.Status.Rollout.Step == v1alpha1.StepStable
}

func podsOf(t *testing.T, instance *v1alpha1.EngLogInstance, color string) []types.UID {
	t.Helper()
	list := &corev1.PodList{}
	err := cluster.Client.List(t.Context(), list, client.InNamespace(instance.Namespace), client.MatchingLabels{"englog.io/color": color})
	if err != nil {
		t.Fatal(err)
	}
	var uids []types.UID
	for i := range list.Items {
		uids = append(uids, list.Items[i].UID)
	}
	slices.Sort(uids)
	return uids
}

// onceMigrated fails the test when a migration of the active revision ran more than once.
func onceMigrated(t *testing.T, instance *v1alpha1.EngLogInstance) {
	t.Helper()
	list := &corev1.PodList{}
	err := cluster.Client.List(t.Context(), list, client.InNamespace(instance.Namespace),
		client.MatchingLabels{"app.kubernetes.io/component": "migrate", "englog.io/revision": instance.Status.Active.Revision})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 { // expand and contract
		t.Errorf("%d migrations of the revision ran, not one of each phase", len(list.Items))
	}
}
