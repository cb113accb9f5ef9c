package observe

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// vault is a reader that has Secrets only, and counts what it is asked.
type vault struct {
	client.Reader
	secrets map[string]map[string][]byte
	gets    int
}

func (v *vault) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	v.gets++
	data, ok := v.secrets[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return apierrors.NewBadRequest("only Secrets are here")
	}
	secret.Data = data
	return nil
}

type fixedKey struct{}

func (fixedKey) Keep(context.Context, *v1alpha1.EngLogInstance, []revision.Reference) ([]byte, error) {
	return []byte("key"), nil
}

// desk is a Secrets reader with a clock that a test moves.
type desk struct {
	*Secrets
	vault *vault
	now   time.Time
	woken []types.NamespacedName
}

func newDesk(secrets map[string]map[string][]byte) *desk {
	d := &desk{vault: &vault{secrets: secrets}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d.Secrets = NewSecrets(d.vault, fixedKey{}, 5*time.Minute, func() time.Time { return d.now }, func(k types.NamespacedName) { d.woken = append(d.woken, k) })
	return d
}

func (d *desk) look(t *testing.T) (map[string]string, *world.World) {
	t.Helper()
	w := &world.World{Instance: &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "demo"}}}
	references := []revision.Reference{
		{Secret: "db", Key: "uri", Choice: "database", Form: "uri", Field: "spec.database", Purpose: "connection URI"},
		{Secret: "db", Key: "host", Choice: "database", Form: "parts", Field: "spec.database", Purpose: "host"},
		{Secret: "auth", Key: "JWT_SECRET", Field: "spec.auth", Purpose: "secret that signs tokens"},
	}
	digests, err := d.Digest(t.Context(), w, references)
	if err != nil {
		t.Fatal(err)
	}
	return digests, w
}

func (d *desk) pass(t *testing.T, elapsed time.Duration) {
	t.Helper()
	d.now = d.now.Add(elapsed)
	for _, key := range d.due() {
		d.renew(t.Context(), key)
	}
}

func TestSecretsAreReadOnceInAnInterval(t *testing.T) {
	d := newDesk(map[string]map[string][]byte{"db": {"uri": []byte("postgres://a"), "host": []byte("unused")}, "auth": {"JWT_SECRET": []byte("s")}})
	first, w := d.look(t)
	if len(w.Missing) > 0 || len(first) != 2 {
		t.Fatalf("missing %v, digests %v", w.Missing, first)
	}
	for id, digest := range first {
		if strings.Contains(digest, "postgres") || len(digest) != 32 {
			t.Errorf("the digest of %s is %q", id, digest)
		}
	}
	asked := d.vault.gets
	d.look(t)
	d.pass(t, 4*time.Minute)
	if d.vault.gets != asked {
		t.Errorf("%d more reads within the interval", d.vault.gets-asked)
	}
	d.pass(t, time.Minute)
	if d.vault.gets != asked+2 || len(d.woken) > 0 {
		t.Errorf("%d reads after the interval, woken %v although nothing changed", d.vault.gets-asked, d.woken)
	}
}

func TestAChangedValueWakesAndChangesItsDigestAlone(t *testing.T) {
	d := newDesk(map[string]map[string][]byte{"db": {"uri": []byte("postgres://a"), "host": []byte("unused")}, "auth": {"JWT_SECRET": []byte("s")}})
	before, _ := d.look(t)
	d.vault.secrets["db"] = map[string][]byte{"uri": []byte("postgres://b"), "host": []byte("still unused")}
	d.pass(t, 5*time.Minute)
	after, _ := d.look(t)
	if len(d.woken) != 1 || before["db/uri"] == after["db/uri"] || before["auth/JWT_SECRET"] != after["auth/JWT_SECRET"] {
		t.Errorf("woken %v, before %v, after %v", d.woken, before, after)
	}
	if _, used := after["db/host"]; used {
		t.Error("an alternative that is not used is part of the revision")
	}
}

func TestWhatIsMissingIsLookedUpSooner(t *testing.T) {
	d := newDesk(map[string]map[string][]byte{"auth": {"JWT_SECRET": []byte("s")}})
	_, w := d.look(t)
	if len(w.Missing) != 1 || !strings.Contains(w.Missing[0].Message, "Secret db") || !strings.Contains(w.Missing[0].Message, "uri") {
		t.Fatalf("missing is %v", w.Missing)
	}
	d.vault.secrets["db"] = map[string][]byte{"uri": []byte("postgres://a")}
	d.pass(t, missingRefresh)
	if _, w := d.look(t); len(w.Missing) > 0 || len(d.woken) != 1 {
		t.Errorf("still missing %v, woken %v", w.Missing, d.woken)
	}
}
