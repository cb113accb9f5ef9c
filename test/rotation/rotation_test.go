package rotation

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/test/load"
	"github.com/garnizeh/englog-operator/test/node"
)

// TestRotation changes one kind of secret after the other, while an API's users and a visitor of the pages go on. What was valid before is taken
// away in the end, so that whoever still used it would fail.
func TestRotation(t *testing.T) {
	node.Need(t)
	t.Log("covers X15 X18")
	r := newRig(t)
	v := r.visit(t)
	_, entries := node.UnderLoad(t, r.cfg, r.accounts, func() {
		for _, kind := range []struct {
			name   string
			rotate func(*testing.T)
		}{
			{"signing key, announced", r.announceSigningKey},
			{"signing key, used", r.useSigningKey},
			{"database", r.database},
			{"Redis", r.cache},
			{"session key", func(t *testing.T) { r.sessionKey(t, v) }},
			{"mail", r.mailPassword},
			{"a variable of a component", func(t *testing.T) { r.rotate(t, map[string]string{"HOUSE_TOKEN": secret()}) }},
			{"without a rollout: signing key, forgotten; provider's key", r.ignored},
		} {
			if !t.Run(kind.name, kind.rotate) {
				return // what follows would only repeat it
			}
		}
	})
	v.judge(t)
	r.account(t, entries)
}

func (r *rig) announceSigningKey(t *testing.T) {
	next := secret()
	r.rotate(t, map[string]string{"JWT_SECRET_NEXT": next})
	r.accepts(t, r.signing, next)
	r.previous, r.signing = r.signing, next
}

func (r *rig) useSigningKey(t *testing.T) {
	r.rotate(t, map[string]string{"JWT_SECRET": r.signing, "JWT_SECRET_PREVIOUS": r.previous, "JWT_SECRET_NEXT": ""})
	r.accepts(t, r.signing, r.previous)
}

// database lets a second role in, changes the key, and shuts the first one out.
func (r *rig) database(t *testing.T) {
	password := secret()
	r.sql(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE %s", secondRole, password, firstRole))
	r.sql(t, fmt.Sprintf("ALTER ROLE %s SET role = %s", secondRole, firstRole))
	r.rotate(t, map[string]string{"DATABASE_URL": r.databaseURL(t, secondRole, password)})
	r.await(t, time.Minute, "the first role's connections to be gone", func(ctx context.Context) (bool, string, error) {
		first, second, err := r.connections(ctx)
		return err == nil && first == 0 && second > 0, fmt.Sprintf("%d of the first role, %d of the second", first, second), err
	})
	r.sql(t, "ALTER ROLE "+firstRole+" NOLOGIN")
}

func (r *rig) connections(ctx context.Context) (first, second int, err error) {
	err = r.postgres.QueryRow(ctx, `SELECT count(*) FILTER (WHERE usename = $1), count(*) FILTER (WHERE usename = $2)
		FROM pg_stat_activity WHERE application_name = 'englog'`, firstRole, secondRole).Scan(&first, &second)
	return first, second, err
}

// cache gives the user a second password, changes the key, and takes the first password away. Then all connections are made anew.
func (r *rig) cache(t *testing.T) {
	fresh := secret()
	r.acl(t, ">"+fresh)
	r.rotate(t, map[string]string{"REDIS_URL": cacheURL(fresh)})
	r.acl(t, "<"+r.cachePassword)
	r.cachePassword = fresh
	cut, err := r.redis.Do(t.Context(), "CLIENT", "KILL", "USER", cacheUser).Int()
	if err != nil || cut == 0 {
		t.Fatalf("%d connections to Redis were cut: %v", cut, err)
	}
	r.await(t, time.Minute, "new connections to Redis", func(ctx context.Context) (bool, string, error) {
		list, err := r.redis.ClientList(ctx).Result()
		return strings.Contains(list, "user="+cacheUser), list, err
	})
}

// sessionKey signs the visitor of the pages out, and no more than that.
func (r *rig) sessionKey(t *testing.T, v *visitor) {
	before := v.signedOut()
	r.rotate(t, map[string]string{"SESSION_KEY": secret()})
	r.await(t, time.Minute, "the visitor to have signed in again", func(context.Context) (bool, string, error) {
		return v.signedOut() > before, "still in the old session", nil
	})
}

// ignored: with rotation Ignore pods take up what has changed by themselves.
func (r *rig) ignored(t *testing.T) {
	if _, err := r.Change(t.Context(), map[string]any{"secrets": map[string]any{"type": "Kubernetes", "rotation": "Ignore"}}); err != nil {
		t.Fatal(err)
	}
	before, old := r.instance(t), r.aiKey
	r.aiKey = secret()
	r.provider.Accept(old, r.aiKey)
	r.write(t, map[string]string{"JWT_SECRET_PREVIOUS": "", "OPENAI_API_KEY": r.aiKey})
	r.accepts(t, r.signing)
	r.await(t, 2*time.Minute, "the workers to ask with the new key only", func(ctx context.Context) (bool, string, error) {
		asked := r.provider.Asked(old)
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second): // in which some sixty entries are written
		}
		return r.provider.Asked(r.aiKey) > 0 && r.provider.Asked(old) == asked, fmt.Sprintf("%d questions with the old key", r.provider.Asked(old)), nil
	})
	r.provider.Accept(r.aiKey)
	after := r.instance(t)
	if a, b := before.Status.Active.Revision, after.Status.Active.Revision; a != b || after.Status.Rollout.Step != v1alpha1.StepStable {
		t.Errorf("although rotation is Ignore, revision %s became %s, step %s", a, b, after.Status.Rollout.Step)
	}
}

// account looks for everything that was acknowledged, and for refused keys.
func (r *rig) account(t *testing.T, entries []load.Entry) {
	t.Helper()
	r.judge(t, strings.Replace(local.AdminURI(), "/postgres?", "/"+firstRole+"?", 1), entries)
	t.Logf("%d questions with the new key, %d refused", r.provider.Asked(r.aiKey), r.provider.Refused())
	if r.provider.Refused() > 0 {
		t.Error("the provider refused a key")
	}
}

// judge looks for everything that was acknowledged, in a database.
func (r *rig) judge(t *testing.T, database string, entries []load.Entry) {
	t.Helper()
	check, err := load.CheckEntries(t.Context(), r.cfg, load.CheckConfig{Database: database, Within: 2 * time.Minute}, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries, %d lost; %d tasks, %d lost, %d run twice", check.Entries, check.LostEntries, check.Tasks, check.LostTasks, check.DuplicateRuns)
	if check.Entries == 0 || check.LostEntries+check.LostTasks+check.DuplicateRuns > 0 {
		t.Errorf("lost or repeated: %+v", check)
	}
}
