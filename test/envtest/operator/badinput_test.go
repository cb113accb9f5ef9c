package operator

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// mentions fails the test for each part that a message lacks.
func mentions(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(message, p) {
			t.Errorf("the message does not say %q: %s", p, message)
		}
	}
}

// serves fails the test unless users are served by a version in a color.
func serves(t *testing.T, instance *v1alpha1.EngLogInstance, version string, color v1alpha1.Color) {
	t.Helper()
	if a := instance.Status.Active; a == nil || a.Version != version || a.Color != color {
		t.Errorf("active is %v, not %s in %s", a, version, color)
	}
	if s := liveSelector(t, instance, "api"); !strings.EqualFold(s["englog.io/color"], string(color)) {
		t.Errorf("the live Service selects %v", s)
	}
	if status, _, message := condition(instance, v1alpha1.ConditionAvailable); status != "True" {
		t.Errorf("the instance is not Available: %s", message)
	}
}

func TestMissingSecretIsNamedAndRecoversByItself(t *testing.T) {
	t.Parallel()
	covers(t, "X42", "X44")
	instance := draft(t)
	migrated(t, instance.Namespace)
	cluster.Create(t, instance)
	message := awaitCondition(t, instance, v1alpha1.ConditionReferencesResolved, "False", "ReferenceMissing")
	mentions(t, message, "Secret demo-secrets", "DATABASE_URL", "spec.database.external.secretRef", "add")
	if status, _, _ := condition(instance, v1alpha1.ConditionReady); status != "False" {
		t.Error("an instance without its Secret is not Ready=False")
	}
	cluster.Create(t, secretFor(instance))
	begun := time.Now()
	awaitCondition(t, instance, v1alpha1.ConditionReferencesResolved, "True", "")
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("the Secret was noticed after %s", took)
	}
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}

func TestMissingKeyKeepsWhatServes(t *testing.T) {
	t.Parallel()
	instance := install(t)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Version = "1.1.0"
		s.Database.External = &v1alpha1.ExternalDatabase{SecretRef: &v1alpha1.DatabaseSecretRef{Name: "elsewhere"}}
	})
	message := awaitCondition(t, instance, v1alpha1.ConditionReferencesResolved, "False", "ReferenceMissing")
	mentions(t, message, "Secret elsewhere", "spec.database.external.secretRef")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
}

// databaseDown makes migrations fail as the service's do when no database answers.
func databaseDown(t *testing.T, namespace string) (remove func()) {
	t.Helper()
	return cluster.Kubelet.Rule(t, rig.Rule{
		Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/component": "migrate"}, ExitCode: 1,
		Message: `{"phase":"expand","error":"dial tcp db:5432: connect: connection refused"}`,
	})
}

func once(i *v1alpha1.EngLogInstance) {
	none := int32(0)
	i.Spec.Rollout.Migration = &v1alpha1.MigrationSpec{BackoffLimit: &none}
}

func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	covers(t, "X82")
	instance := draft(t, once)
	remove := databaseDown(t, instance.Namespace)
	cluster.Create(t, secretFor(instance), instance)
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "MigrationFailed")
	mentions(t, message, "demo-migrate-", "connection refused", "spec.rollout.retryToken")
	_, reason, message := condition(instance, v1alpha1.ConditionMigrated)
	mentions(t, reason+": "+message, "MigrationFailed", "connection refused")
	remove()
	migrated(t, instance.Namespace)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Rollout.RetryToken = "again" })
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}

func TestFailedMigrationKeepsWhatServes(t *testing.T) {
	t.Parallel()
	covers(t, "X82", "X78")
	instance := install(t, once)
	databaseDown(t, instance.Namespace)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "MigrationFailed")
	mentions(t, message, "connection refused")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
}

func TestImageThatCannotBePulled(t *testing.T) {
	t.Parallel()
	covers(t, "X45", "X78")
	instance := install(t)
	cluster.Kubelet.Rule(t, rig.Rule{Namespace: instance.Namespace, ImageContains: ":9.9.9", Fault: rig.ImagePullBackOff, Message: "manifest unknown"})
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "9.9.9" })
	var message string
	cluster.Await(t, instance, "the cause in Reconciling", func() bool {
		_, _, message = condition(instance, v1alpha1.ConditionReconciling)
		return strings.Contains(message, "ImagePullBackOff")
	})
	mentions(t, message, "demo-migrate-", "manifest unknown")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.0.0" })
	awaitStep(t, instance, v1alpha1.StepStable)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
}

func foreignService(namespace, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "somebody"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// untouched fails the test when an object is not as it was created.
func untouched(t *testing.T, o client.Object) {
	t.Helper()
	version := o.GetResourceVersion()
	if err := cluster.Client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatalf("reading the foreign object: %v", err)
	}
	if o.GetResourceVersion() != version || len(o.GetOwnerReferences()) > 0 {
		t.Errorf("the foreign %s was changed: %v", o.GetName(), o)
	}
}

func TestForeignServiceIsLeftAlone(t *testing.T) {
	t.Parallel()
	covers(t, "X72")
	instance := draft(t)
	migrated(t, instance.Namespace)
	foreign := foreignService(instance.Namespace, "demo-api")
	cluster.Create(t, foreign, secretFor(instance), instance)
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "NameConflict")
	mentions(t, message, "Service demo-api", "does not belong", "rename or delete it")
	untouched(t, foreign)
	if err := cluster.Client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}

func TestForeignNameKeepsWhatServes(t *testing.T) {
	t.Parallel()
	instance := draft(t)
	migrated(t, instance.Namespace)
	foreign := foreignService(instance.Namespace, "demo-api-green")
	cluster.Create(t, foreign, secretFor(instance), instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) { s.Version = "1.1.0" })
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "NameConflict")
	mentions(t, message, "Service demo-api-green")
	serves(t, instance, "1.0.0", v1alpha1.Blue)
	untouched(t, foreign)
}
