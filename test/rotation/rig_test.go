// Package rotation changes each kind of secret that an instance refers to, as docs/how-to/rotate-secrets.md says, on the real node and under
// load. It sees what users and administrators see and must import neither controllers nor workload.
package rotation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
	"github.com/garnizeh/englog-operator/test/provider"
)

const (
	// rate leaves room on two cores for both colors and for a provider that is asked for each entry.
	rate = 60
	// tokenSeconds is short, so that tokens of the old key are gone before the key is.
	tokenSeconds = 90
	// Whom the instance's connections log in as. The first role comes with the database.
	firstRole, secondRole, cacheUser = "englog_demo", "englog_demo_b", "rotation"
)

// rig is an instance whose secrets can be changed.
type rig struct {
	*cutover.Stage

	provider *provider.Provider
	postgres *pgx.Conn
	redis    *redis.Client
	// The values as they are now.
	signing, previous, aiKey, cachePassword, mailSecret string
	post                                                *mailServer
	cfg                                                 load.Config
	accounts                                            *load.Accounts
	journey                                             *load.Journey
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{signing: secret(), aiKey: secret(), cachePassword: secret(), mailSecret: secret()}
	stage, err := cutover.Raise(t.Context(), cutover.Options{
		Rate: rate, ConfirmSeconds: 3, RetentionSeconds: 15, OperatorManifest: attentive, Spec: speaking,
	}, &cutover.Lines{Out: node.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	r.Stage = stage
	t.Cleanup(stage.Close)
	r.connect(t)
	r.provider = provider.Listen(t, r.aiKey)
	post, authority := listenForMail(t, r.mailSecret)
	r.post = post
	t.Cleanup(func() { r.clear(t) })
	r.install(t, authority)
	return r
}

// attentive makes the operator look at Secrets more often than the five minutes that it waits by itself.
func attentive(manifest string) string {
	return strings.Replace(manifest, "- --leader-elect\n", "- --leader-elect\n        - --secret-refresh=3s\n", 1)
}

// speaking is an instance whose insights come from a provider that wants a key, and that mails login codes.
func speaking(s *v1alpha1.EngLogInstanceSpec) {
	posting(s)
	s.Auth = &v1alpha1.AuthSpec{AccessTokenSeconds: tokenSeconds}
	s.API.Env = []v1alpha1.EnvVar{{Name: "HOUSE_TOKEN", SecretKey: &v1alpha1.EnvSecretKey{Key: "HOUSE_TOKEN"}}}
	s.AI = &v1alpha1.AISpec{
		RequestsPerUserPerDay: new(int32(1_000_000)),
		Providers:             []v1alpha1.AIProvider{{Name: "openai", Type: v1alpha1.AIProviderOpenAI, OpenAI: &v1alpha1.OpenAIProvider{BaseURL: provider.BaseURL}}},
	}
}

func secret() string { return rand.Text() + rand.Text() }

func (r *rig) connect(t *testing.T) {
	t.Helper()
	var err error
	if r.postgres, err = pgx.Connect(t.Context(), local.AdminURI()); err != nil {
		t.Fatal(err)
	}
	r.redis = redis.NewClient(&redis.Options{Addr: local.Redis})
}

// install makes the instance, with a Redis user and a provider's key in its Secret.
func (r *rig) install(t *testing.T, authority string) {
	t.Helper()
	r.sql(t, "DROP ROLE IF EXISTS "+secondRole) // of a run that was broken off
	r.acl(t, "reset", "on", "~*", "&*", "+@all", ">"+r.cachePassword)
	if err := r.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.write(t, map[string]string{"REDIS_URL": cacheURL(r.cachePassword), "JWT_SECRET": r.signing, "OPENAI_API_KEY": r.aiKey, "HOUSE_TOKEN": secret(), "SMTP_PASSWORD": r.mailSecret})
	r.believe(t, authority)
	if err := r.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.welcome(t)
}

// welcome makes the users of an instance that is Ready.
func (r *rig) welcome(t *testing.T) {
	t.Helper()
	var err error
	if r.journey, err = r.Journey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.cfg, err = r.LoadConfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.accounts, _, err = load.Prepare(t.Context(), r.cfg, nil); err != nil {
		t.Fatal(err)
	}
}

// clear takes away what the tests of others do not expect.
func (r *rig) clear(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	err := r.Remove(ctx)
	_, aclErr := r.redis.Do(ctx, "ACL", "DELUSER", cacheUser).Result()
	_, dropErr := r.postgres.Exec(ctx, "DROP ROLE IF EXISTS "+secondRole)
	if err := errors.Join(err, aclErr, dropErr, r.redis.Close(), r.postgres.Close(ctx)); err != nil {
		t.Error(err)
	}
}

func (r *rig) sql(t *testing.T, statement string) {
	t.Helper()
	if _, err := r.postgres.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// acl changes the Redis user of the instance.
func (r *rig) acl(t *testing.T, rules ...any) {
	t.Helper()
	if err := r.redis.Do(t.Context(), append([]any{"ACL", "SETUSER", cacheUser}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

func cacheURL(password string) string {
	return "redis://" + cacheUser + ":" + password + "@" + local.Redis + "/0"
}

// databaseURL is the instance's database, for another role.
func (r *rig) databaseURL(t *testing.T, role, password string) string {
	t.Helper()
	u, err := url.Parse(r.Database())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// write changes keys of the instance's Secret; an empty value takes the key away.
func (r *rig) write(t *testing.T, values map[string]string) {
	t.Helper()
	r.writeTo(t, cutover.Name+"-secrets", values)
}

func (r *rig) writeTo(t *testing.T, secret string, values map[string]string) {
	t.Helper()
	data := map[string]any{}
	for key, value := range values {
		if data[key] = []byte(value); value == "" {
			data[key] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: cutover.Namespace, Name: secret}}
	if err := r.Patch(t.Context(), s, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
}

// rotate changes keys of the instance's Secret and follows the rollout that this starts to its end.
func (r *rig) rotate(t *testing.T, values map[string]string) {
	t.Helper()
	r.rotateIn(t, cutover.Name+"-secrets", values)
}

func (r *rig) rotateIn(t *testing.T, secret string, values map[string]string) {
	t.Helper()
	before, begun := r.instance(t), time.Now()
	r.writeTo(t, secret, values)
	r.await(t, 3*time.Minute, "the rollout of the changed Secret", func(ctx context.Context) (bool, string, error) {
		i, err := r.Instance(ctx)
		if err != nil {
			return false, "", err
		}
		ro := i.Status.Rollout
		over := ro.ID != before.Status.Rollout.ID && ro.Step == v1alpha1.StepStable && i.Status.Active.Revision == ro.ToRevision
		return over, fmt.Sprintf("rollout %s is in %s: %s", ro.ID, ro.Step, ro.Message), nil
	})
	after := r.instance(t)
	if after.Status.Active.Revision == before.Status.Active.Revision || after.Status.Rollout.Trigger != v1alpha1.TriggerSecretChange {
		t.Errorf("revision %s became %s by %s", before.Status.Active.Revision, after.Status.Active.Revision, after.Status.Rollout.Trigger)
	}
	t.Logf("revision %s became %s in %.0f s", before.Status.Active.Revision, after.Status.Active.Revision, time.Since(begun).Seconds())
}

func (r *rig) instance(t *testing.T) *v1alpha1.EngLogInstance {
	t.Helper()
	i, err := r.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (*rig) await(t *testing.T, within time.Duration, what string, done func(context.Context) (bool, string, error)) {
	t.Helper()
	if err := cutover.Await(t.Context(), within, what, done); err != nil {
		t.Fatal(err)
	}
}

// accepts waits until each API pod says that it accepts these signing keys, the one that it signs with first.
func (r *rig) accepts(t *testing.T, keys ...string) {
	t.Helper()
	want := make([]string, len(keys))
	for i, k := range keys {
		want[i] = keyID(k)
	}
	r.await(t, 2*time.Minute, fmt.Sprintf("the API pods to accept %v", want), func(ctx context.Context) (bool, string, error) {
		said, err := r.keyIDs(ctx)
		for _, ids := range said {
			if !slices.Equal(ids, want) {
				return false, fmt.Sprint(said), err
			}
		}
		return err == nil && len(said) > 0, fmt.Sprint(said), err
	})
}

// keyID is how a pod names a key.
func keyID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

// keyIDs asks each API pod on its admin port, which only the platform reaches.
func (r *rig) keyIDs(ctx context.Context) (map[string][]string, error) {
	pods := &corev1.PodList{}
	if err := r.List(ctx, pods, client.InNamespace(cutover.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "api"}); err != nil {
		return nil, err
	}
	said := map[string][]string{}
	for i := range pods.Items {
		raw, err := r.Kubectl(ctx, "get", "--raw", "/api/v1/namespaces/"+cutover.Namespace+"/pods/"+pods.Items[i].Name+":8081/proxy/status")
		if err != nil {
			return said, err
		}
		var status struct {
			Keys []string `json:"jwtKeyIds"`
		}
		if err := json.Unmarshal([]byte(raw), &status); err != nil {
			return said, err
		}
		said[pods.Items[i].Name] = status.Keys
	}
	return said, nil
}
