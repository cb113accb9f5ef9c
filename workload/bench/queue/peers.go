package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

type asynqQueue struct {
	at        asynq.RedisClientOpt
	client    *asynq.Client
	server    *asynq.Server
	inspector *asynq.Inspector
}

func newAsynq(redis *testrig.Redis) *asynqQueue {
	at := asynq.RedisClientOpt{Addr: fmt.Sprintf("127.0.0.1:%d", redis.Port)}
	return &asynqQueue{at: at, client: asynq.NewClient(at), inspector: asynq.NewInspector(at)}
}

func (q *asynqQueue) Start(started func(int)) error {
	q.server = asynq.NewServer(q.at, asynq.Config{Concurrency: workers, LogLevel: asynq.FatalLevel})
	mux := asynq.NewServeMux()
	mux.HandleFunc("noop", func(_ context.Context, t *asynq.Task) error {
		n, err := strconv.Atoi(string(t.Payload()))
		started(n)
		return err
	})
	return q.server.Start(mux)
}

func (q *asynqQueue) Enqueue(ctx context.Context, n int) error {
	_, err := q.client.EnqueueContext(ctx, asynq.NewTask("noop", []byte(strconv.Itoa(n))))
	return err
}

func (q *asynqQueue) Ended() (int, error) {
	info, err := q.inspector.GetQueueInfo("default")
	if err != nil {
		return 0, err
	}
	return info.ProcessedTotal, nil
}

func (q *asynqQueue) Stop() {
	q.server.Shutdown()
	_ = q.client.Close()
	_ = q.inspector.Close()
}

type noop struct {
	N int `json:"n"`
}

// Kind names the job for river.
func (noop) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noop]
	started func(int)
}

func (w *noopWorker) Work(_ context.Context, j *river.Job[noop]) error {
	w.started(j.Args.N)
	return nil
}

type riverQueue struct {
	pool     *pgxpool.Pool
	cooldown time.Duration
	client   *river.Client[pgx.Tx]
}

func newRiver(postgres *testrig.Postgres, cooldown time.Duration) (*riverQueue, error) {
	url, err := postgres.NewDatabase()
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	_, err = migrator.Migrate(context.Background(), rivermigrate.DirectionUp, nil)
	return &riverQueue{pool: pool, cooldown: cooldown}, err
}

func (q *riverQueue) Start(started func(int)) error {
	all := river.NewWorkers()
	river.AddWorker(all, &noopWorker{started: started})
	config := &river.Config{Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}, Workers: all,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if q.cooldown > 0 {
		config.FetchCooldown = q.cooldown
	}
	var err error
	if q.client, err = river.NewClient(riverpgxv5.New(q.pool), config); err != nil {
		return err
	}
	return q.client.Start(context.Background())
}

func (q *riverQueue) Enqueue(ctx context.Context, n int) error {
	_, err := q.client.Insert(ctx, noop{n}, nil)
	return err
}

func (q *riverQueue) Ended() (n int, err error) {
	err = q.pool.QueryRow(context.Background(), `SELECT count(id)::int FROM river_job WHERE state = 'completed'`).Scan(&n)
	return n, err
}

func (q *riverQueue) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = q.client.Stop(ctx)
	q.pool.Close()
}
