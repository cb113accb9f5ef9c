package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

const window = 512

// ours is the queue of this repository, put together as the API and a worker do it.
type ours struct {
	store   *store.Store
	tasks   *store.Tasks
	pool    *pgxpool.Pool
	client  *redisx.Client
	user    uuid.UUID
	entries []uuid.UUID
	kicker  *queue.Kicker
	stop    []func()
}

var kinds = []englog.Kind{englog.KindSentiment}

func newOurs(postgres *testrig.Postgres, redis *testrig.Redis) (*ours, error) {
	url, err := postgres.Clone("migrated", testrig.Migrate)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{ConnString: func() (string, error) { return url, nil }, MaxConns: 16, Timeout: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	client, err := redisx.Open(redisx.Options{URL: func() (string, error) { return redis.URL(), nil }, Instance: uuid.NewString()})
	if err != nil {
		return nil, err
	}
	q := &ours{store: s, tasks: store.NewTasks(s.Pool()), pool: s.Pool(), client: client, user: uuid.New()}
	q.stop = append(q.stop, s.Close, func() { _ = client.Close() })
	_, err = q.pool.Exec(ctx, `INSERT INTO users (id, email, name, created_at, updated_at) VALUES ($1, 'a@example.org', 'a', now(), now())`, q.user)
	if err != nil {
		return nil, err
	}
	for range 1000 {
		q.entries = append(q.entries, uuid.New())
	}
	_, err = q.pool.Exec(ctx, `INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags,
		source, word_count, occurred_at, created_at, updated_at)
		SELECT id, $1, 1, 'A day', 'It was good.', 'note', '', '', 0, 0, '{}', 'session', 3, now(), now(), now() FROM unnest($2::uuid[]) id`, q.user, q.entries)
	return q, err
}

type handler struct{ started func(int) }

func (h handler) Kind() englog.Kind { return kinds[0] }

// Handle knows the number of the task by its entry version.
func (h handler) Handle(_ context.Context, c englog.Claimed) (*englog.Insight, error) {
	h.started(int(c.EntryVersion))
	return nil, nil
}

func (q *ours) Start(started func(int)) error {
	streams, err := q.client.Streams("bench", []englog.KindVersion{{Kind: kinds[0], Version: 1}})
	if err != nil {
		return err
	}
	w, err := queue.New(queue.Options{Store: q.tasks, Transport: streams, Handlers: []queue.Handler{handler{started}}, Owner: "bench",
		Concurrency: workers, Window: window})
	if err != nil {
		return err
	}
	q.kicker = queue.NewKicker(q.client, q.tasks, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { q.kicker.Run(ctx) })
	wg.Go(func() { _ = w.Run(ctx) })
	q.stop = append(q.stop, func() { cancel(); wg.Wait() })
	return nil
}

func (q *ours) Enqueue(ctx context.Context, n int) error {
	refs, err := q.tasks.Add(ctx, englog.NewTasks{UserID: q.user, EntryID: q.entries[n%len(q.entries)], EntryVersion: int32(n),
		Kinds: kinds, Queued: q.kicker.Accepts(kinds)})
	if err == nil {
		q.kicker.Kick(refs)
	}
	return err
}

func (q *ours) Stop() {
	for i := len(q.stop) - 1; i >= 0; i-- {
		q.stop[i]()
	}
}

// Ended counts tasks that are done.
func (q *ours) Ended() (n int, err error) {
	err = q.pool.QueryRow(context.Background(), `SELECT count(id)::int FROM tasks WHERE state = 'done'`).Scan(&n)
	return n, err
}

func (q *ours) done() int {
	n, _ := q.Ended()
	return n
}

func (q *ours) awaitDone(n int, within time.Duration, meanwhile func()) error {
	deadline := time.Now().Add(within)
	for q.done() < n {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d tasks ended within %s", q.done(), n, within)
		}
		meanwhile()
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// measureSafety flushes Redis under load, and then looks at how far a backlog fills it.
func measureSafety(postgres *testrig.Postgres, redis *testrig.Redis, tasks, backlog int) (safety, error) {
	out := safety{FlushedTasks: tasks, Backlog: backlog, Window: window}
	q, err := newOurs(postgres, redis)
	if err != nil {
		return out, err
	}
	w := newWatch()
	if err := q.Start(w.started); err != nil {
		return out, err
	}
	defer q.Stop()
	time.Sleep(2500 * time.Millisecond)
	if err := q.flushUnderLoad(redis, w, &out); err != nil {
		return out, err
	}
	return out, q.fillWithBacklog(&out)
}

func (q *ours) flushUnderLoad(redis *testrig.Redis, w *watch, out *safety) error {
	ended := make(chan struct{})
	var flushes error
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(200 * time.Millisecond):
				flushes = errors.Join(flushes, redis.FlushAll())
			}
		}
	})
	fails := enqueueAll(q, 0, out.FlushedTasks)
	close(ended)
	wg.Wait()
	err := q.awaitDone(out.FlushedTasks-fails, time.Minute, func() {})
	out.FlushedLost = out.FlushedTasks - fails - q.done()
	out.FlushedExtraRuns = w.runs() - w.distinct()
	return errors.Join(err, flushes)
}

func (q *ours) fillWithBacklog(out *safety) error {
	before := q.done()
	_, err := q.pool.Exec(context.Background(), `INSERT INTO tasks (id, user_id, entry_id, entry_version, kind)
		SELECT gen_random_uuid(), $1, $2, 1000000 + n, 'sentiment' FROM generate_series(1, $3::int) n`, q.user, q.entries[0], out.Backlog)
	if err != nil {
		return err
	}
	begin := time.Now()
	err = q.awaitDone(before+out.Backlog, 3*time.Minute, func() {
		depth, _ := q.client.Depth(context.Background(), []englog.KindVersion{{Kind: kinds[0], Version: 1}})
		if len(depth) == 1 {
			out.BacklogDepthMax = max(out.BacklogDepthMax, depth[0])
		}
	})
	out.BacklogSeconds = time.Since(begin).Seconds()
	return err
}
