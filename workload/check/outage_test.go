package check

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
	"github.com/garnizeh/englog-operator/workload/insight"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/redisx"
	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// TestAnOutageOfTheProviderOnlyDelays: while the only provider is broken, tasks wait, nearly all at no cost; afterwards each
// is done, and its insight is the provider's.
func TestAnOutageOfTheProviderOnlyDelays(t *testing.T) {
	provider := &fake.Server{}
	provider.Set(fake.Broken)
	server := httptest.NewServer(provider)
	defer server.Close()
	s := testrig.OpenStore(t, testrig.Database(t))
	tasks, pool, ctx := store.NewTasks(s.Pool()), s.Pool(), context.Background()
	user := uuid.New()
	for _, sql := range []string{
		`INSERT INTO users (id, email, name, created_at, updated_at) VALUES ($1, 'a@example.org', 'a', now(), now())`,
		`INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags, source, word_count, occurred_at,
			created_at, updated_at) SELECT gen_random_uuid(), $1, 1, 't', 'b', 'note', '', '', 0, 0, '{}', 's', 1, now(), now(), now() FROM generate_series(1, 50)`,
		`INSERT INTO tasks (id, user_id, entry_id, entry_version, kind) SELECT gen_random_uuid(), $1, id, 1, 'summary' FROM entries`,
	} {
		if _, err := pool.Exec(ctx, sql, user); err != nil {
			t.Fatal(err)
		}
	}
	router, err := ai.NewRouter(ai.RouterOptions{Models: []ai.Model{ai.NewOpenAI(server.URL, "m", func() (string, error) { return "k", nil }, ai.Connection{Attempt: time.Second})},
		Budget: tasks, DailyRequests: 1000, Recovery: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	work(t, tasks, router)
	count := func(where string) (n int) {
		_ = pool.QueryRow(ctx, `SELECT count(id)::int FROM tasks WHERE `+where).Scan(&n)
		return n
	}
	await(t, 20*time.Second, func() bool { return count(`runs > 0`) == 50 })
	asked := provider.Counts().Requests
	if free := count(`state = 'ready' AND attempt = 0`); asked > 40 || free < 25 {
		t.Errorf("during the outage %d requests were made, and %d of 50 tasks wait at no cost", asked, free)
	}
	provider.Set(fake.OK)
	await(t, 60*time.Second, func() bool { return count(`state = 'done'`) == 50 })
	var insights, paid int
	_ = pool.QueryRow(ctx, `SELECT count(id)::int FROM insights WHERE provider = 'openai' AND data = '{"text": "fake"}'`).Scan(&insights)
	_ = pool.QueryRow(ctx, `SELECT requests FROM ai_usage`).Scan(&paid)
	if insights != 50 || paid != provider.Counts().Requests {
		t.Errorf("%d insights; %d requests on the account, %d at the provider", insights, paid, provider.Counts().Requests)
	}
}

func work(t *testing.T, tasks *store.Tasks, analyst insight.Analyst) {
	t.Helper()
	handlers, err := insight.Handlers(tasks, analyst, []englog.Kind{englog.KindSummary})
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisx.Open(redisx.Options{URL: func() (string, error) { return testrig.SharedRedis(t).URL(), nil }, Instance: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	streams, err := client.Streams("w", []englog.KindVersion{{Kind: englog.KindSummary, Version: 1}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := queue.New(queue.Options{Store: tasks, Transport: streams, Handlers: []queue.Handler{handlers[0]}, Owner: "w"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; _ = client.Close() })
}

func await(t *testing.T, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen within %s", within)
		}
	}
}
