package rotation

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/stores"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/node"
)

// The Secrets of Managed stores, which the operator makes up.
const (
	databaseSecret = cutover.Name + "-database"
	cacheSecret    = cutover.Name + "-cache"
)

// TestRotationOfManagedStores changes the credentials of both Managed stores under load, as the how-to says.
func TestRotationOfManagedStores(t *testing.T) {
	node.Need(t)
	t.Log("covers X18 X49")
	r := newManagedRig(t)
	_, entries := node.UnderLoad(t, r.cfg, r.accounts, func() {
		_ = t.Run("database", r.managedDatabase) && t.Run("Redis", r.managedCache)
	})
	r.judge(t, r.superuser(t), entries)
}

func newManagedRig(t *testing.T) *rig {
	t.Helper()
	major, err := stores.PostgresMajor()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	if r.Stage, err = cutover.Raise(t.Context(), cutover.Options{
		Rate: rate, ConfirmSeconds: 3, RetentionSeconds: 15, Spec: managed, OperatorManifest: func(manifest string) string {
			const first = "- --leader-elect\n"
			return strings.Replace(attentive(manifest), first, first+"        - --managed-postgresql-major="+major+"\n", 1)
		},
	}, &cutover.Lines{Out: node.Log(t)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	command := exec.CommandContext(t.Context(), "go", "run", "./hack/cluster", "load-stores")
	command.Dir = "../.."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("loading the stores' images: %v\n%s", err, out)
	}
	r.discard(t)
	t.Cleanup(func() { r.discard(t) })
	if err := r.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.welcome(t)
	return r
}

// managed keeps the network open, since this test asks the stores itself.
func managed(s *v1alpha1.EngLogInstanceSpec) {
	s.Database, s.Cache = v1alpha1.DatabaseSpec{Type: v1alpha1.StoreManaged}, v1alpha1.CacheSpec{Type: v1alpha1.StoreManaged}
	s.NetworkPolicy = &v1alpha1.NetworkPolicySpec{Mode: v1alpha1.NetworkPolicyDisabled}
}

// discard deletes the instance with what outlives it.
func (r *rig) discard(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	i := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: cutover.Name}}
	_ = r.Delete(ctx, i) // Remove says so if it does not go
	kept := []client.DeleteAllOfOption{client.InNamespace(cutover.Namespace), client.HasLabels{"englog.io/kept"}}
	for _, o := range []client.Object{&corev1.Secret{}, &corev1.PersistentVolumeClaim{}} {
		if err := r.DeleteAllOf(ctx, o, kept...); err != nil {
			t.Error(err)
		}
	}
	if err := r.Remove(ctx); err != nil {
		t.Error(err)
	}
}

// credential is a key of a Secret as it is now.
func (r *rig) credential(t *testing.T, secret, key string) string {
	t.Helper()
	s := &corev1.Secret{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: cutover.Namespace, Name: secret}, s); err != nil {
		t.Fatal(err)
	}
	return string(s.Data[key])
}

// superuser is the URI under which people reach the Managed database.
func (r *rig) superuser(t *testing.T) string {
	t.Helper()
	address, err := r.ServiceAddress(t.Context(), "database")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://postgres:%s@%s/englog?sslmode=disable", r.credential(t, databaseSecret, "superuserPassword"), address)
}

// managedDatabase lets a second role in for the service's, and shuts the first one out.
func (r *rig) managedDatabase(t *testing.T) {
	var err error
	if r.postgres, err = pgx.Connect(t.Context(), r.superuser(t)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.postgres.Close(context.WithoutCancel(t.Context())) }() // with the test
	password := secret()
	r.sql(t, fmt.Sprintf("CREATE ROLE englog_b LOGIN PASSWORD '%s' IN ROLE englog", password))
	r.sql(t, "ALTER ROLE englog_b SET role = englog")
	r.rotateIn(t, databaseSecret, map[string]string{"username": "englog_b", "password": password})
	r.await(t, time.Minute, "the first role's connections to be gone", func(ctx context.Context) (bool, string, error) {
		var first, second int
		err := r.postgres.QueryRow(ctx, `SELECT count(*) FILTER (WHERE usename = 'englog'), count(*) FILTER (WHERE usename = 'englog_b') FROM pg_stat_activity`).
			Scan(&first, &second)
		return err == nil && first == 0 && second > 0, fmt.Sprintf("%d of the first role, %d of the second", first, second), err
	})
	r.sql(t, "ALTER ROLE englog NOLOGIN")
}

// managedCache gives the one user of the Managed Redis a second password, and takes the first one away with all connections.
func (r *rig) managedCache(t *testing.T) {
	address, err := r.ServiceAddress(t.Context(), "cache")
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := r.credential(t, cacheSecret, "password"), secret()
	r.redis = redis.NewClient(&redis.Options{Addr: address, Password: old})
	defer func() { _ = r.redis.Close() }() // with the test
	if err := r.redis.Do(t.Context(), "ACL", "SETUSER", "default", ">"+fresh).Err(); err != nil {
		t.Fatal(err)
	}
	r.rotateIn(t, cacheSecret, map[string]string{"password": fresh})
	r.await(t, 3*time.Minute, "the kubelet to bring the new password to Redis' own pod, whose probe logs in too", func(ctx context.Context) (bool, string, error) {
		said, err := r.Kubectl(ctx, "exec", "-n", cutover.Namespace, cutover.Name+"-cache-0", "--", "cat", "/etc/englog/credentials/store/password")
		return said == fresh, "another one is there", err
	})
	if err := r.redis.Do(t.Context(), "ACL", "SETUSER", "default", "<"+old).Err(); err != nil {
		t.Fatal(err)
	}
	if cut, err := r.redis.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal").Int(); err != nil || cut == 0 {
		t.Fatalf("%d connections to Redis were cut: %v", cut, err)
	}
}
