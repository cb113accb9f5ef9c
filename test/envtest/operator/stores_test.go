package operator

import (
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// short is the shortest spec there is: a version, and both stores Managed; only the pace is the tests'.
func short(i *v1alpha1.EngLogInstance) {
	i.Spec = v1alpha1.EngLogInstanceSpec{
		Rollout: i.Spec.Rollout,
		Version: "1.0.0", Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreManaged}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreManaged},
	}
}

// fetch reads an object that has to exist.
func fetch[T client.Object](t *testing.T, o T, namespace, name string) T {
	t.Helper()
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return o
}

func TestShortSpecWithManagedStores(t *testing.T) {
	t.Parallel()
	covers(t, "B2", "X34", "X35", "X44", "X49", "X53")
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	cluster.Create(t, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	if m := instance.Status.Managed; m == nil || m.PostgresMajor != 17 {
		t.Errorf("status.managed is %v", m)
	}
	for _, store := range []string{"demo-database", "demo-cache"} {
		kept(t, fetch(t, &corev1.Secret{}, instance.Namespace, store))
		kept(t, fetch(t, &corev1.PersistentVolumeClaim{}, instance.Namespace, store))
		if set := fetch(t, &appsv1.StatefulSet{}, instance.Namespace, store); !metav1.IsControlledBy(set, instance) {
			t.Errorf("StatefulSet %s does not belong to the instance", store)
		}
	}
	ownRoles(t, fetch(t, &corev1.Secret{}, instance.Namespace, "demo-database").Data)
	edit(t, instance, func(s *v1alpha1.EngLogInstanceSpec) {
		s.Database.Managed = &v1alpha1.ManagedDatabase{MajorVersion: 16}
	})
	mentions(t, awaitCondition(t, instance, v1alpha1.ConditionSpecAccepted, "False", ""), "spec.database.managed.majorVersion", "PostgreSQL 17")
}

// kept fails the test when an object would go with its instance.
func kept(t *testing.T, o client.Object) {
	t.Helper()
	if len(o.GetOwnerReferences()) > 0 || o.GetLabels()["englog.io/kept"] == "" {
		t.Errorf("%T %s has owners %v and labels %v", o, o.GetName(), o.GetOwnerReferences(), o.GetLabels())
	}
}

// ownRoles fails the test unless the service and the migrations have roles and passwords of their own, and neither is the superuser.
func ownRoles(t *testing.T, credentials map[string][]byte) {
	t.Helper()
	passwords := map[string]bool{}
	for _, key := range []string{"password", "ownerPassword", "superuserPassword"} {
		if len(credentials[key]) < 32 || passwords[string(credentials[key])] {
			t.Errorf("%s is short or used twice", key)
		}
		passwords[string(credentials[key])] = true
	}
	mentions(t, string(credentials["uri"]), "postgres://englog:", "@demo-database.")
	mentions(t, string(credentials["ownerURI"]), "postgres://englog_owner:")
}

func TestManagedDataOutlivesTheInstance(t *testing.T) {
	t.Parallel()
	covers(t, "X53", "B8")
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	cluster.Create(t, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	secret := fetch(t, &corev1.Secret{}, instance.Namespace, "demo-database")
	volume := fetch(t, &corev1.PersistentVolumeClaim{}, instance.Namespace, "demo-database")
	again := instance.DeepCopy()
	remove(t, instance)
	cluster.AwaitGone(t, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-database"}})
	cluster.AwaitGone(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-generated"}})

	again.ObjectMeta = metav1.ObjectMeta{Namespace: again.Namespace, Name: again.Name}
	again.Status = v1alpha1.EngLogInstanceStatus{}
	cluster.Create(t, again)
	awaitCondition(t, again, v1alpha1.ConditionReady, "True", "")
	now := fetch(t, &corev1.Secret{}, again.Namespace, "demo-database")
	if now.UID != secret.UID || !maps.EqualFunc(now.Data, secret.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("the credentials are not those that the volume was made with")
	}
	if v := fetch(t, &corev1.PersistentVolumeClaim{}, again.Namespace, "demo-database"); v.UID != volume.UID {
		t.Error("the volume is another one")
	}
}

func TestForeignCredentialsAreLeftAlone(t *testing.T) {
	t.Parallel()
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-database"}}
	cluster.Create(t, foreign, instance)
	message := awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "NameConflict")
	mentions(t, message, "Secret demo-database", "rename or delete it")
	untouched(t, foreign)
	if err := cluster.Client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
}

// A credential that would break each new connection is named, and used by nobody.
func TestUnfitCredentialsAreNamed(t *testing.T) {
	t.Parallel()
	instance := draft(t, short)
	migrated(t, instance.Namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: instance.Namespace, Name: "demo-database", Labels: map[string]string{
			"englog.io/kept": "credentials", "app.kubernetes.io/instance": instance.Name,
		}},
		StringData: map[string]string{"username": "englog_b\n", "password": "from-before"},
	}
	cluster.Create(t, secret, instance)
	mentions(t, awaitCondition(t, instance, v1alpha1.ConditionStalled, "True", "CredentialsUnfit"), "Secret demo-database", "username", "line break")
	secret.StringData = map[string]string{"username": "englog_b"}
	if err := cluster.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	mentions(t, string(fetch(t, secret, instance.Namespace, "demo-database").Data["uri"]), "postgres://englog_b:from-before@demo-database.")
}
