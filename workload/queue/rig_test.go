package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// rig is one database and one Redis, with a user and no worker yet.
type rig struct {
	t     testing.TB
	pool  *pgxpool.Pool
	tasks *store.Tasks
	redis *redisx.Client
	user  uuid.UUID
}

func newRig(t testing.TB, databaseURL, redisURL string) *rig {
	t.Helper()
	s := testrig.OpenStore(t, databaseURL)
	r := &rig{t: t, pool: s.Pool(), tasks: store.NewTasks(s.Pool()), user: uuid.Must(uuid.NewV7())}
	r.redis = openRedis(t, redisURL, t.Name())
	r.exec(`INSERT INTO users (id, email, name, created_at, updated_at) VALUES ($1, $2, 'someone', now(), now())`,
		r.user, r.user.String()+"@example.org")
	return r
}

func sharedRig(t testing.TB) *rig {
	return newRig(t, testrig.Database(t), testrig.SharedRedis(t).URL())
}

func openRedis(t testing.TB, url, instance string) *redisx.Client {
	t.Helper()
	c, err := redisx.Open(redisx.Options{URL: func() (string, error) { return url, nil }, Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	if _, err := r.pool.Exec(context.Background(), sql, args...); err != nil {
		r.t.Fatal(err)
	}
}

// entry writes an entry with its tasks and returns its id and what to kick.
func (r *rig) entry(queued bool, kinds ...englog.Kind) (uuid.UUID, []englog.TaskRef) {
	r.t.Helper()
	id := uuid.Must(uuid.NewV7())
	var refs []englog.TaskRef
	err := pgx.BeginFunc(context.Background(), r.pool, func(tx pgx.Tx) (err error) {
		_, err = tx.Exec(context.Background(), `INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes,
			mood, tags, source, word_count, occurred_at, created_at, updated_at)
			VALUES ($1, $2, 1, 'A day', 'It was good.', 'note', '', '', 0, 0, '{}', 'session', 3, now(), now(), now())`, id, r.user)
		if err != nil {
			return err
		}
		refs, err = store.InsertTasks(context.Background(), tx, englog.NewTasks{UserID: r.user, EntryID: id, EntryVersion: 1,
			Kinds: kinds, Queued: queued})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id, refs
}

// states counts tasks by state.
func (r *rig) states() map[string]int {
	rows, err := r.pool.Query(context.Background(), `SELECT state, count(id)::int FROM tasks GROUP BY state`)
	if err != nil {
		return nil // the database may be restarting
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var s string
		var n int
		if rows.Scan(&s, &n) == nil {
			out[s] = n
		}
	}
	return out
}

func (r *rig) number(sql string, args ...any) (n int) {
	r.t.Helper()
	if err := r.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) await(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s did not happen within %s; tasks: %v", what, within, r.states())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *rig) awaitDone(n int, within time.Duration) {
	r.t.Helper()
	r.await(fmt.Sprintf("the end of %d tasks", n), within, func() bool { return r.states()["done"] == n })
}

// handler counts its runs and does what do says.
type handler struct {
	kind englog.Kind
	do   func(ctx context.Context, c englog.Claimed) error
	mu   sync.Mutex
	runs map[uuid.UUID]int
}

func newHandler(kind englog.Kind, do func(context.Context, englog.Claimed) error) *handler {
	return &handler{kind: kind, do: do, runs: map[uuid.UUID]int{}}
}

func (h *handler) Kind() englog.Kind { return h.kind }

func (h *handler) Handle(ctx context.Context, c englog.Claimed) (*englog.Insight, error) {
	h.mu.Lock()
	h.runs[c.ID]++
	h.mu.Unlock()
	if h.do != nil {
		if err := h.do(ctx, c); err != nil {
			return nil, err
		}
	}
	return &englog.Insight{Data: []byte(`{"text":"a good day"}`), Provider: "test"}, nil
}

func (h *handler) total() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, runs := range h.runs {
		n += runs
	}
	return n
}

// worker starts a worker and stops it with the test.
func (r *rig) worker(name string, change func(*queue.Options), handlers ...queue.Handler) *queue.Worker {
	r.t.Helper()
	var kinds []englog.KindVersion
	for _, h := range handlers {
		kinds = append(kinds, englog.KindVersion{Kind: h.Kind(), Version: h.Kind().Version()})
	}
	streams, err := r.redis.Streams(name, kinds)
	if err != nil {
		r.t.Fatal(err)
	}
	o := queue.Options{Store: r.tasks, Transport: streams, Handlers: handlers, Owner: name}
	if change != nil {
		change(&o)
	}
	w, err := queue.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-ended })
	return w
}

func (r *rig) kicker() *queue.Kicker {
	k := queue.NewKicker(r.redis, r.tasks, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); k.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-ended })
	return k
}

// cancelSuperseded does what an edit of the entry does to the tasks of version 1, and commits it.
func cancelSuperseded(tx pgx.Tx, entry uuid.UUID) error {
	if err := store.CancelSuperseded(context.Background(), tx, entry, 2); err != nil {
		return err
	}
	return tx.Commit(context.Background())
}
