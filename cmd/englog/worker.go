package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/insight"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/queue"
	"github.com/garnizeh/englog-operator/workload/run"
)

// workerApp puts the worker together.
func workerApp(ctx context.Context, c config.Config) (*run.App, error) {
	log := newLogger(c)
	tracing, err := startTracing(ctx, c, log)
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, c, tracing)
	if err != nil {
		return nil, err
	}
	client, err := openRedis(c)
	if err != nil {
		return nil, err
	}
	registry := obs.NewRegistry(run.Version, c.Identity.Revision, c.Identity.Color, c.Role)
	router, err := newRouter(c.AI, tracing.Transport(http.DefaultTransport), s.Tasks(), log, registry)
	if err != nil {
		return nil, err
	}
	found, err := insight.Handlers(s.Tasks(), router, englog.TaskKinds())
	if err != nil {
		return nil, err
	}
	kinds, handlers := []englog.KindVersion{}, []queue.Handler{}
	for _, h := range found {
		handlers = append(handlers, h)
		kinds = append(kinds, englog.KindVersion{Kind: h.Kind(), Version: h.Kind().Version()})
	}
	streams, err := client.Streams(c.Identity.Pod, kinds)
	if err != nil {
		return nil, err
	}
	registry.MustRegister(queue.NewBacklog(s.Tasks()))
	w, err := queue.New(queue.Options{Store: s.Tasks(), Transport: streams, Handlers: handlers, Owner: c.Identity.Pod,
		Concurrency: c.WorkerConcurrency, Log: log, Registerer: registry, Around: traceTasks(tracing)})
	if err != nil {
		return nil, err
	}
	work := func(ctx context.Context) {
		if err := w.Run(ctx); err != nil {
			log.Error("the queue ended", "error", err)
		}
	}
	drafter := &insight.Drafter{Drafts: s.Tasks(), Analyst: router, Patience: c.AI.Timeout + draftSlack, Log: log, Around: traceDrafts(tracing)}
	draft, drainDrafts := drafter.Run, drafter.Drain
	if !c.Features.AdvancedAI {
		draft, drainDrafts = func(context.Context) {}, func(context.Context) {}
	}
	purge := func(ctx context.Context) {
		every(ctx, time.Hour, func() {
			if err := s.Purge(ctx, englog.SystemClock{}.Now()); err != nil && ctx.Err() == nil {
				log.Warn("what is past its time was not purged", "error", err)
			}
		})
	}
	weekly := func(ctx context.Context) {
		every(ctx, time.Hour, func() {
			monday := englog.DateOf(englog.SystemClock{}.Now(), time.UTC).Monday().Add(-7)
			if _, err := s.Tasks().EnsureWeekly(ctx, monday.Time); err != nil && ctx.Err() == nil {
				log.Warn("the weekly tasks were not made", "error", err)
			}
		})
	}
	return &run.App{Config: c, Log: log, Registry: registry, Drain: func(ctx context.Context) {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { drainDrafts(ctx) })
		w.Drain(ctx)
	},
		Checks:     []run.Check{databaseCheck(s), redisCheck(client)},
		Background: []func(context.Context){work, draft, weekly, purge, heartbeat(s, c, log)},
		Levels:     levels(s),
		Close: func() {
			_ = client.Close()
			s.Close()
			closeTracing(tracing, log)
		}}, nil
}
