package operator

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// rotate changes a key of the instance's Secret. Nothing tells the operator, and it looks again after minutes; a new one looks at once.
func rotate(t *testing.T, instance *v1alpha1.EngLogInstance, value string) {
	t.Helper()
	secret := fetch(t, &corev1.Secret{}, instance.Namespace, instance.Name+"-secrets")
	secret.Data["JWT_SECRET"] = []byte(value)
	if err := cluster.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	restartOperator(t, time.Now)
}

// TestSecretRotation is not parallel: it ends the operator.
func TestSecretRotation(t *testing.T) {
	covers(t, "X15", "X18")
	instance := install(t)
	first := instance.Status.Active.Revision
	rotate(t, instance, "1123456789abcdef0123456789abcdef")
	cluster.Await(t, instance, "a rollout of the changed secret", func() bool {
		return instance.Status.Active.Revision != first && instance.Status.Rollout.Step == v1alpha1.StepStable
	})
	if got := instance.Status.Rollout.Trigger; got != v1alpha1.TriggerSecretChange {
		t.Errorf("the rollout was triggered by %s", got)
	}
	second := instance.Status.Active.Revision

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Secrets = &v1alpha1.SecretsSpec{Type: v1alpha1.SecretsKubernetes, Rotation: v1alpha1.SecretRotationIgnore}
	})
	awaitStep(t, instance, v1alpha1.StepStable)
	rotate(t, instance, "2123456789abcdef0123456789abcdef")
	quiet(t, 3*time.Second)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	if r := instance.Status.Rollout; r.Step != v1alpha1.StepStable || instance.Status.Active.Revision != second || len(instance.Status.History) != 2 {
		t.Errorf("although rotation is Ignore: active %v, rollout %+v", instance.Status.Active, r)
	}

	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Secrets.Rotation = v1alpha1.SecretRotationRollout })
	cluster.Await(t, instance, "a rollout of what has changed meanwhile", func() bool {
		return instance.Status.Active.Revision != second && instance.Status.Active.Revision != first
	})
}
