package operator

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// awaitWarning waits until SpecAccepted carries a warning, and returns its message.
func awaitWarning(t *testing.T, instance *v1alpha1.EngLogInstance, about string) string {
	t.Helper()
	var message string
	cluster.Await(t, instance, "warning about "+about, func() bool {
		var status, reason string
		status, reason, message = condition(instance, v1alpha1.ConditionSpecAccepted)
		return status == "True" && reason == "AcceptedWithWarnings" && strings.Contains(message, about)
	})
	return message
}

// Production's defaults share the 90 connections of a stock PostgreSQL among 44 pods.
func TestTightPoolsAreTold(t *testing.T) {
	t.Parallel()
	covers(t, "X11", "I6")
	instance := newInstance(t, production)
	message := awaitWarning(t, instance, "spec.database.maxConnections")
	mentions(t, message, "leave a pod 2 connections", "raise it to 222", "set maxConnectionsPerPod to 2")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Database.MaxConnectionsPerPod = 2 })
	awaitNoWarning(t, instance, "spec.database.maxConnections")
}

func awaitNoWarning(t *testing.T, instance *v1alpha1.EngLogInstance, about string) {
	t.Helper()
	cluster.Await(t, instance, "no warning about "+about, func() bool {
		status, _, message := condition(instance, v1alpha1.ConditionSpecAccepted)
		return status == "True" && instance.Status.ObservedGeneration == instance.Generation && !strings.Contains(message, about)
	})
}

// A namespace that does not enforce what the instance keeps to anyway is reported; nobody but its owner changes it.
func TestNamespaceLabelsAreAskedFor(t *testing.T) {
	t.Parallel()
	covers(t, "E1", "X51")
	instance := newInstance(t)
	mentions(t, awaitWarning(t, instance, "namespace "+instance.Namespace), "kubectl label namespace", "pod-security.kubernetes.io/enforce=restricted")

	labelled := draft(t)
	namespace := fetch(t, &corev1.Namespace{}, "", labelled.Namespace)
	before := namespace.DeepCopy()
	namespace.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	if err := cluster.Client.Patch(t.Context(), namespace, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	migrated(t, labelled.Namespace)
	cluster.Create(t, secretFor(labelled), labelled)
	awaitCondition(t, labelled, v1alpha1.ConditionReady, "True", "") // every pod of it was admitted
	awaitCondition(t, labelled, v1alpha1.ConditionSpecAccepted, "True", "Accepted")
}

// What the workers' check says about Redis is shown, and stays so after the rollout.
func TestRedisThatMayEvictIsTold(t *testing.T) {
	t.Parallel()
	covers(t, "X53", "I8")
	instance := draft(t)
	migrated(t, instance.Namespace)
	cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: instance.Namespace, Labels: map[string]string{"app.kubernetes.io/component": "check"},
		Message: `{"role":"worker","status":"ok","warnings":["Redis may evict keys, because its maxmemory-policy is allkeys-lru: set it to noeviction"],"checks":{"redis":"ok"}}`,
	})
	cluster.Create(t, secretFor(instance), instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	awaitStep(t, instance, v1alpha1.StepStable)
	mentions(t, awaitWarning(t, instance, "Redis may evict"), "allkeys-lru", "set it to noeviction")
}
