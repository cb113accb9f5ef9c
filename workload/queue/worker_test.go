package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

const sentiment, summary = englog.KindSentiment, englog.KindSummary

func TestTasksAreRunOnceAndTheirInsightsWritten(t *testing.T) {
	r := sharedRig(t)
	a, b := newHandler(sentiment, nil), newHandler(summary, nil)
	var id uuid.UUID
	for range 20 {
		id, _ = r.entry(false, sentiment, summary)
	}
	r.worker("w1", nil, a, b)
	r.worker("w2", nil, a, b)
	r.awaitDone(40, 10*time.Second)
	if a.total() != 20 || b.total() != 20 || r.number(`SELECT sum(runs)::int FROM tasks`) != 40 {
		t.Errorf("%d and %d runs for 20 tasks each", a.total(), b.total())
	}
	insights, err := r.tasks.InsightsOfEntry(context.Background(), r.user, id)
	if err != nil || len(insights) != 2 {
		t.Fatalf("insights %v, error %v", insights, err)
	}
	if n := r.number(`SELECT count(id)::int FROM entries WHERE summary = 'a good day'`); n != 20 {
		t.Errorf("%d of 20 entries carry their summary", n)
	}
	if other, _ := r.tasks.InsightsOfEntry(context.Background(), uuid.New(), id); len(other) != 0 {
		t.Error("a stranger sees insights")
	}
}

func TestAKickedTaskStartsAtOnce(t *testing.T) {
	r := sharedRig(t)
	h := newHandler(sentiment, nil)
	w := r.worker("w", nil, h)
	r.await("connection", 5*time.Second, w.Connected)
	k := r.kicker()
	r.await("acceptance", 5*time.Second, func() bool { return k.Accepts([]englog.Kind{sentiment}) })
	start := time.Now()
	_, refs := r.entry(true, sentiment)
	k.Kick(refs)
	r.await("the run", time.Second, func() bool { return h.total() == 1 })
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("it took %s: the relay did it, not the kick", took)
	}
	if k.Accepts([]englog.Kind{sentiment, summary}) {
		t.Error("a kind that no live worker knows is accepted")
	}
}

func TestDuplicateMessagesDoNoHarm(t *testing.T) {
	r := sharedRig(t)
	h := newHandler(sentiment, nil)
	for range 10 {
		_, refs := r.entry(true, sentiment)
		for range 5 {
			if err := r.redis.Publish(context.Background(), refs); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.worker("w1", nil, h)
	r.worker("w2", nil, h)
	r.awaitDone(10, 10*time.Second)
	r.await("empty streams", 5*time.Second, func() bool { return r.depth(sentiment) == 0 })
	if h.total() != 10 {
		t.Errorf("%d runs of 10 tasks", h.total())
	}
}

func (r *rig) depth(k englog.Kind) int {
	d, err := r.redis.Depth(context.Background(), []englog.KindVersion{{Kind: k, Version: 1}})
	if err != nil {
		return -1
	}
	return d[0]
}

func TestALostWorkerCostsTimeButNoAttempt(t *testing.T) {
	r := sharedRig(t)
	_, refs := r.entry(true, sentiment)
	lost, err := r.tasks.Claim(context.Background(), []uuid.UUID{refs[0].ID}, []englog.KindVersion{{Kind: sentiment, Version: 1}}, "dead", 300*time.Millisecond)
	if err != nil || len(lost) != 1 {
		t.Fatalf("claimed %v, error %v", lost, err)
	}
	h := newHandler(sentiment, nil)
	r.worker("w", nil, h)
	r.awaitDone(1, 10*time.Second)
	if got := r.number(`SELECT attempt * 100 + crashes * 10 + runs FROM tasks`); got != 112 {
		t.Errorf("attempt, crashes, runs are %d, want 112", got)
	}
	// The lost worker comes back with its result: too late.
	ended, err := r.tasks.Finish(context.Background(), []englog.Finished{{Claimed: lost[0], Insight: &englog.Insight{Data: []byte(`{"late":1}`)}}})
	if err != nil || len(ended) != 0 {
		t.Errorf("the late finish ended %v, error %v", ended, err)
	}
	if err := r.tasks.Kill(context.Background(), lost[0], englog.Cause{}); !errors.Is(err, englog.ErrLeaseLost) {
		t.Errorf("the late kill said %v", err)
	}
	if r.number(`SELECT count(id)::int FROM insights WHERE data ? 'late'`) != 0 {
		t.Error("the late insight was written")
	}
}

func TestATaskThatKillsItsWorkersDies(t *testing.T) {
	r := sharedRig(t)
	_, refs := r.entry(true, sentiment)
	for range 5 {
		if _, err := r.tasks.Claim(context.Background(), []uuid.UUID{refs[0].ID}, []englog.KindVersion{{Kind: sentiment, Version: 1}}, "w", -time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := r.tasks.Sweep(context.Background(), time.Minute, 5); err != nil {
			t.Fatal(err)
		}
	}
	failed, err := r.tasks.Failed(context.Background(), r.user, 10)
	if err != nil || len(failed) != 1 || failed[0].LastErrorCode != "worker_lost" || failed[0].Crashes != 5 {
		t.Fatalf("failed tasks %+v, error %v", failed, err)
	}
	again, err := r.tasks.RerunTask(context.Background(), r.user, failed[0].ID)
	if err != nil || len(again) != 1 {
		t.Fatalf("re-run %v, error %v", again, err)
	}
	if other, _ := r.tasks.RerunTask(context.Background(), uuid.New(), failed[0].ID); len(other) != 0 {
		t.Error("a stranger re-runs the task")
	}
	if err := r.redis.Publish(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	r.worker("w", nil, newHandler(sentiment, nil))
	r.awaitDone(1, 10*time.Second)
}

func TestFailuresAreRetriedParkedOrFinal(t *testing.T) {
	r := sharedRig(t)
	fail := func(class englog.FailureClass) func(context.Context, englog.Claimed) error {
		return func(context.Context, englog.Claimed) error {
			return &englog.Failure{Class: class, Code: "broken", After: time.Millisecond, Err: errors.New("on purpose")}
		}
	}
	r.entry(false, sentiment, summary, englog.KindThemes, englog.KindEntities, englog.KindTagSuggestions)
	r.worker("w", nil, newHandler(sentiment, fail(englog.FailureRetryable)), newHandler(summary, fail(englog.FailurePermanent)),
		newHandler(englog.KindThemes, fail(englog.FailureUnavailable)), newHandler(englog.KindEntities, fail(englog.FailureCancelled)),
		newHandler(englog.KindTagSuggestions, func(context.Context, englog.Claimed) error { panic("on purpose") }))
	state := func(k englog.Kind) (s string) {
		var attempt, runs int
		_ = r.pool.QueryRow(context.Background(), `SELECT state || ' ' || last_error_code, attempt, runs FROM tasks WHERE kind = $1`, string(k)).Scan(&s, &attempt, &runs)
		if k == englog.KindThemes && (attempt > 1 || runs < 2) {
			return "not parked"
		}
		return s
	}
	for kind, want := range map[englog.Kind]string{sentiment: "ready broken", summary: "dead broken", englog.KindEntities: "cancelled broken", englog.KindTagSuggestions: "ready panic"} {
		r.await(string(kind)+" "+want, 10*time.Second, func() bool { return state(kind) == want })
	}
	r.await("a second run of a parked task", 10*time.Second, func() bool { return state(englog.KindThemes) != "not parked" })
}

func TestDrainFinishesWhatItCanAndHandsBackTheRest(t *testing.T) {
	r := sharedRig(t)
	quick := newHandler(sentiment, func(ctx context.Context, _ englog.Claimed) error {
		select {
		case <-time.After(300 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	slow := newHandler(summary, func(ctx context.Context, _ englog.Claimed) error { <-ctx.Done(); return ctx.Err() })
	w := r.worker("old", func(o *queue.Options) { o.Concurrency = 4 }, quick, slow)
	for range 2 {
		r.entry(false, sentiment, summary)
	}
	r.await("four running tasks", 10*time.Second, func() bool { return r.states()["running"] == 4 })
	for range 10 {
		r.entry(false, sentiment)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w.Drain(ctx)
	if got := r.states(); got["done"] != 2 || got["running"] != 0 {
		t.Errorf("after the drain: %v", got)
	}
	if got := r.number(`SELECT sum(attempt)::int FROM tasks WHERE kind = 'summary'`); got != 0 {
		t.Errorf("the hand-back cost %d attempts", got)
	}
	a, b := newHandler(sentiment, nil), newHandler(summary, nil)
	r.worker("new", nil, a, b)
	r.awaitDone(14, 10*time.Second)
	if quick.total()+a.total() != 12 {
		t.Errorf("%d runs of 12 quick tasks", quick.total()+a.total())
	}
}

func TestAFlushUnderLoadLosesNothing(t *testing.T) {
	server := testrig.NewRedis(t)
	r := newRig(t, testrig.Database(t), server.URL())
	h := newHandler(sentiment, nil)
	w := r.worker("w", nil, h)
	k := r.kicker()
	r.await("connection", 5*time.Second, w.Connected)
	r.await("acceptance", 5*time.Second, func() bool { return k.Accepts([]englog.Kind{sentiment}) })
	const n = 600
	for i := range n {
		_, refs := r.entry(k.Accepts([]englog.Kind{sentiment}), sentiment)
		k.Kick(refs)
		if i%100 == 50 {
			if err := server.FlushAll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.awaitDone(n, 20*time.Second)
	if h.total() != n {
		t.Errorf("%d runs of %d tasks", h.total(), n)
	}
}

func TestAWorkerSurvivesRedisThatIsNotThereYetAndRestarts(t *testing.T) {
	server := testrig.NewRedis(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, testrig.Database(t), server.URL())
	h := newHandler(sentiment, nil)
	r.worker("w", nil, h)
	r.entry(false, sentiment)
	for range 2 {
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		done := r.states()["done"]
		r.entry(false, sentiment)
		r.await("work after a start of Redis", 15*time.Second, func() bool { return r.states()["done"] > done })
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		r.entry(false, sentiment)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	r.awaitDone(5, 15*time.Second)
}

func TestAWorkerSurvivesARestartOfPostgres(t *testing.T) {
	server := testrig.NewPostgres(t, testrig.PostgresOptions{Durable: true})
	url, err := server.Clone("migrated", testrig.Migrate)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, url, testrig.SharedRedis(t).URL())
	var slow atomic.Bool
	slow.Store(true)
	h := newHandler(sentiment, func(ctx context.Context, _ englog.Claimed) error {
		for slow.Load() && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		return ctx.Err()
	})
	for range 8 {
		r.entry(false, sentiment)
	}
	r.worker("w", nil, h)
	r.await("eight running tasks", 10*time.Second, func() bool { return r.states()["running"] == 8 })
	if err := server.Stop(true); err != nil {
		t.Fatal(err)
	}
	slow.Store(false) // they end while the database is away
	time.AfterFunc(500*time.Millisecond, func() { _ = server.Start() })
	r.awaitDone(8, 20*time.Second)
	if h.total() != 8 {
		t.Errorf("%d runs of 8 tasks: results were thrown away", h.total())
	}
}

func TestABacklogStaysInTheDatabase(t *testing.T) {
	r := sharedRig(t)
	id, _ := r.entry(false)
	r.exec(`INSERT INTO tasks (id, user_id, entry_id, entry_version, kind)
		SELECT gen_random_uuid(), $1, $2, n, 'sentiment' FROM generate_series(1, 20000) n`, r.user, id)
	var open atomic.Bool
	h := newHandler(sentiment, func(ctx context.Context, _ englog.Claimed) error {
		for !open.Load() && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		return ctx.Err()
	})
	for _, name := range []string{"w1", "w2"} {
		r.worker(name, func(o *queue.Options) { o.Window, o.Concurrency = 64, 4 }, h)
	}
	r.await("full streams", 10*time.Second, func() bool { return r.depth(sentiment) >= 40 })
	most := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		most = max(most, r.depth(sentiment))
	}
	if most > 2*64 {
		t.Errorf("the stream grew to %d beyond a window of 64", most)
	}
	open.Store(true)
	r.await("an end to some", 10*time.Second, func() bool { return h.total() > 300 })
}

func TestAKindOfANewerReleaseIsLeftAlone(t *testing.T) {
	r := sharedRig(t)
	r.entry(false, sentiment)
	r.exec(`UPDATE tasks SET kind_version = 2`)
	h := newHandler(sentiment, nil)
	r.worker("old", nil, h)
	r.entry(false, sentiment)
	r.awaitDone(1, 10*time.Second)
	if got := r.number(`SELECT count(id)::int FROM tasks WHERE kind_version = 2 AND state = 'ready' AND attempt = 0`); got != 1 {
		t.Error("the newer task was touched")
	}
}

func TestASupersededVersionIsCancelledWhileItRuns(t *testing.T) {
	r := sharedRig(t)
	stopped := make(chan struct{})
	h := newHandler(sentiment, func(ctx context.Context, _ englog.Claimed) error { <-ctx.Done(); close(stopped); return ctx.Err() })
	id, _ := r.entry(false, sentiment)
	r.worker("w", func(o *queue.Options) { o.Lease = 600 * time.Millisecond }, h)
	r.await("a run", 10*time.Second, func() bool { return r.states()["running"] == 1 })
	tx, err := r.pool.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := cancelSuperseded(tx, id); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler goes on")
	}
	if got := r.states(); got["cancelled"] != 1 {
		t.Errorf("tasks: %v", got)
	}
}
