package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// desk is a database with one user and one entry.
type desk struct {
	t           *testing.T
	pool        *pgxpool.Pool
	tasks       *store.Tasks
	user, entry uuid.UUID
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s := testrig.OpenStore(t, testrig.Database(t))
	d := &desk{t: t, pool: s.Pool(), tasks: store.NewTasks(s.Pool()), user: uuid.Must(uuid.NewV7()), entry: uuid.Must(uuid.NewV7())}
	d.exec(`INSERT INTO users (id, email, name, created_at, updated_at) VALUES ($1, $2, 'someone', now(), now())`, d.user, d.user.String()+"@example.org")
	d.exec(`INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags, source, word_count,
		occurred_at, created_at, updated_at) VALUES ($1, $2, 1, 'A day', 'It was good.', 'note', 'p', 'i', 90, 7, '{go}', 'session', 3,
		'2026-03-04 12:00Z', now(), now())`, d.entry, d.user)
	return d
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.pool.Exec(context.Background(), sql, args...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) count(sql string, args ...any) (n int) {
	d.t.Helper()
	if err := d.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

func (d *desk) add(change func(*englog.NewTasks)) []englog.TaskRef {
	d.t.Helper()
	n := englog.NewTasks{UserID: d.user, EntryID: d.entry, EntryVersion: 1, Kinds: englog.EntryTaskKinds()}
	change(&n)
	refs, err := d.tasks.Add(context.Background(), n)
	if err != nil {
		d.t.Fatal(err)
	}
	return refs
}

func claimAll(d *desk) []englog.Claimed {
	d.t.Helper()
	var known []englog.KindVersion
	var room []englog.KindRoom
	for _, k := range englog.TaskKinds() {
		known = append(known, englog.KindVersion{Kind: k, Version: 1})
		room = append(room, englog.KindRoom{KindVersion: englog.KindVersion{Kind: k, Version: 1}, Room: 2})
	}
	refs, err := d.tasks.Due(context.Background(), room)
	if err != nil {
		d.t.Fatal(err)
	}
	ids := make([]uuid.UUID, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	claimed, err := d.tasks.Claim(context.Background(), ids, known, "w", time.Minute)
	if err != nil {
		d.t.Fatal(err)
	}
	return claimed
}

func TestOffMeansOff(t *testing.T) {
	d := newDesk(t)
	d.exec(`UPDATE users SET disabled_tasks = '{sentiment}'`)
	d.add(func(*englog.NewTasks) {})
	if n := d.count(`SELECT count(id)::int FROM tasks WHERE kind = 'sentiment'`); n != 0 {
		t.Error("a task of a kind that is off was made")
	}
	claimed := claimAll(d)
	if len(claimed) != 5 {
		t.Fatalf("%d tasks were claimed", len(claimed))
	}
	d.exec(`UPDATE users SET ai_enabled = false`)
	if _, wanted, err := d.tasks.Subject(context.Background(), claimed[0]); wanted || err != nil {
		t.Errorf("switched off while it waited: wanted %v, error %v", wanted, err)
	}
	if refs, _ := d.tasks.Rerun(context.Background(), d.user, d.entry, englog.EntryTaskKinds(), "r"); len(refs) != 0 {
		t.Error("a re-run ignores the switch")
	}
	if made, _ := d.tasks.EnsureWeekly(context.Background(), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)); made != 0 {
		t.Error("a weekly task ignores the switch")
	}
}

func TestADebouncedVersionWaitsAndIsSuperseded(t *testing.T) {
	d := newDesk(t)
	if refs := d.add(func(n *englog.NewTasks) { n.Debounce, n.Queued = time.Hour, true }); len(refs) != 0 {
		t.Errorf("%d tasks are to be kicked before their time", len(refs))
	}
	if claimed := claimAll(d); len(claimed) != 0 {
		t.Errorf("%d tasks ran before their time", len(claimed))
	}
	err := pgx.BeginFunc(context.Background(), d.pool, func(tx pgx.Tx) error {
		return store.CancelSuperseded(context.Background(), tx, d.entry, 2)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.count(`SELECT count(id)::int FROM tasks WHERE state = 'cancelled'`); n != 6 {
		t.Errorf("%d of 6 are cancelled", n)
	}
}

func TestAWeekIsLookedAtOnce(t *testing.T) {
	d := newDesk(t)
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i, want := range []int{1, 0} {
		if made, err := d.tasks.EnsureWeekly(context.Background(), monday); made != want || err != nil {
			t.Errorf("call %d made %d, error %v", i, made, err)
		}
	}
	claimed := claimAll(d)
	if len(claimed) != 1 || !claimed[0].Period.Equal(monday) {
		t.Fatalf("claimed %+v", claimed)
	}
	subject, wanted, err := d.tasks.Subject(context.Background(), claimed[0])
	if err != nil || !wanted || len(subject.Week) != 1 || subject.Week[0].Duration != 90*time.Minute || subject.Week[0].Mood != 7 {
		t.Errorf("subject %+v, wanted %v, error %v", subject, wanted, err)
	}
	ended, err := d.tasks.Finish(context.Background(), []englog.Finished{{Claimed: claimed[0], Insight: &englog.Insight{Data: []byte(`{"text":"x"}`), Provider: "p"}}})
	if err != nil || len(ended) != 1 {
		t.Fatalf("ended %v, error %v", ended, err)
	}
	found, err := d.tasks.InsightsOfUser(context.Background(), d.user, englog.KindWeeklyInsight, time.Time{}, 10)
	if err != nil || len(found) != 1 || !found[0].Period.Equal(monday) {
		t.Errorf("insights %+v, error %v", found, err)
	}
	if other, _ := d.tasks.InsightsOfUser(context.Background(), uuid.New(), englog.KindWeeklyInsight, time.Time{}, 10); len(other) != 0 {
		t.Error("a stranger sees the week")
	}
}

func TestADeletedEntryTakesItsTasksAlong(t *testing.T) {
	d := newDesk(t)
	d.add(func(*englog.NewTasks) {})
	claimed := claimAll(d)
	d.exec(`DELETE FROM entries`)
	var done []englog.Finished
	for _, c := range claimed {
		done = append(done, englog.Finished{Claimed: c, Insight: &englog.Insight{Data: []byte(`{}`), Provider: "p"}})
	}
	if ended, err := d.tasks.Finish(context.Background(), done); len(ended) != 0 || err != nil {
		t.Errorf("ended %v, error %v", ended, err)
	}
	if n := d.count(`SELECT count(id)::int FROM insights`); n != 0 {
		t.Errorf("%d insights about nothing", n)
	}
}

func TestDataThatPostgresRefusesIsAPermanentFailure(t *testing.T) {
	d := newDesk(t)
	d.add(func(*englog.NewTasks) {})
	claimed := claimAll(d)
	_, err := d.tasks.Finish(context.Background(), []englog.Finished{{Claimed: claimed[0], Insight: &englog.Insight{Data: []byte(`{"a":"\u0000"}`), Provider: "p"}}})
	var failure *englog.Failure
	if !errors.As(err, &failure) || failure.Class != englog.FailurePermanent {
		t.Errorf("error %v", err)
	}
}

func TestTheBudgetOfADayAddsUp(t *testing.T) {
	d := newDesk(t)
	for range 2 {
		if err := d.tasks.AddAIUsage(context.Background(), d.user, englog.AIUsage{Requests: 1, Tokens: 50}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := d.tasks.AIUsage(context.Background(), d.user); err != nil || got != (englog.AIUsage{Requests: 2, Tokens: 100}) {
		t.Errorf("used %+v, error %v", got, err)
	}
}

func TestCountsAndTheOldest(t *testing.T) {
	d := newDesk(t)
	d.add(func(n *englog.NewTasks) { n.Kinds = []englog.Kind{englog.KindSummary} })
	d.exec(`UPDATE tasks SET run_at = now() - interval '1 minute'`)
	counts, err := d.tasks.Counts(context.Background())
	if err != nil || len(counts) != 1 || counts[0] != (englog.TaskCount{Kind: englog.KindSummary, State: englog.TaskReady, Count: 1}) {
		t.Errorf("counts %v, error %v", counts, err)
	}
	if age, err := d.tasks.OldestReady(context.Background()); err != nil || age < time.Minute || age > 2*time.Minute {
		t.Errorf("the oldest waits for %s, error %v", age, err)
	}
}
