package queue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Store owns the tasks. Package store's Tasks is one.
type Store interface {
	Due(ctx context.Context, room []englog.KindRoom) ([]englog.TaskRef, error)
	Unqueue(ctx context.Context, ids []uuid.UUID) error
	Claim(ctx context.Context, ids []uuid.UUID, known []englog.KindVersion, owner string, lease time.Duration) ([]englog.Claimed, error)
	Extend(ctx context.Context, held []englog.Claimed, lease time.Duration) ([]uuid.UUID, error)
	Finish(ctx context.Context, done []englog.Finished) ([]uuid.UUID, error)
	Retry(ctx context.Context, c englog.Claimed, after time.Duration, cause englog.Cause, counts bool) error
	Kill(ctx context.Context, c englog.Claimed, cause englog.Cause) error
	Cancel(ctx context.Context, c englog.Claimed, cause englog.Cause) error
	Release(ctx context.Context, held []englog.Claimed) error
	Sweep(ctx context.Context, stale time.Duration, maxCrashes int) (englog.Swept, error)
}

// Transport carries ids to one worker. Package redisx's Streams is one. It may lose, double and delay them.
type Transport interface {
	Publisher
	// Open makes what is missing; it may be called again at any time.
	Open(ctx context.Context) error
	// Receive waits for about max messages; reset reports that the transport was wiped and is open again.
	Receive(ctx context.Context, max int, wait time.Duration) (got []englog.Delivery, reset bool, err error)
	// Interrupt ends a Receive that waits; best effort.
	Interrupt(ctx context.Context)
	Ack(ctx context.Context, done []englog.Delivery) error
	// Return gives messages that were received, but not claimed, to other workers.
	Return(ctx context.Context, unread []englog.Delivery) error
	// Reclaim takes over what another worker received at least idle ago and never acknowledged.
	Reclaim(ctx context.Context, idle time.Duration, max int) ([]englog.Delivery, error)
	Announce(ctx context.Context, kinds []englog.KindVersion, ttl time.Duration) error
	Tidy(ctx context.Context) error
	Leave(ctx context.Context) error
}

// Publisher is the sending side of a transport. Package redisx's Client is one.
type Publisher interface {
	Publish(ctx context.Context, refs []englog.TaskRef) error
	// Depth returns for each kind how many published tasks nobody has claimed yet.
	Depth(ctx context.Context, kinds []englog.KindVersion) ([]int, error)
	// Known returns those of the kinds that some live worker can run.
	Known(ctx context.Context, kinds []englog.KindVersion) ([]englog.KindVersion, error)
}

// Handler runs tasks of one kind. A nil insight ends the task without one. An error should be an *englog.Failure; any
// other counts as retryable. The context ends when the lease is lost or the worker must stop.
type Handler interface {
	Kind() englog.Kind
	Handle(ctx context.Context, c englog.Claimed) (*englog.Insight, error)
}

// Options of a worker. Only Store, Transport, Handlers and Owner are required.
type Options struct {
	Store     Store
	Transport Transport
	Handlers  []Handler
	// Owner names this process in the tasks it holds: the pod.
	Owner string
	// Concurrency is how many tasks run at once (WORKER_CONCURRENCY); 0: 10.
	Concurrency int
	// Window is how many published and unclaimed tasks of one kind the relay allows; the rest waits in the store. 0: 512.
	Window int
	// Lease is how long a task stays with a worker that is not heard of; it is extended at a third of it. 0: 30 s.
	Lease time.Duration
	// Stale is after how long a published task that nobody claimed is published again. 0: 30 s.
	Stale time.Duration
	// Timeout bounds one run of a handler; 0: 5 min.
	Timeout time.Duration
	// MaxCrashes is how many workers a task may lose before it is dead; 0: 5.
	MaxCrashes int
	// Around is called before each run; what it returns is the handler's context and is told the outcome. For tracing.
	Around func(ctx context.Context, c englog.Claimed) (context.Context, func(error))
	// Random returns a number in [0, 1) for jitter; nil: math/rand.
	Random     func() float64
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics are exposed
}

const (
	dueBatch     = 200
	claimBatch   = 64
	relayBusy    = 10 * time.Millisecond  // there is a backlog
	relayFull    = 250 * time.Millisecond // the streams are full and nobody takes
	relayIdle    = time.Second
	sweepEvery   = time.Second
	blockFor     = 2 * time.Second
	reclaimEvery = 10 * time.Second
	reclaimIdle  = 30 * time.Second
	announceTTL  = 10 * time.Second
	tidyEvery    = 10 * time.Minute
	lingerAbove  = 8
	lingerFor    = time.Millisecond
	storeBudget  = 10 * time.Second
	redisBudget  = 2 * time.Second
)

func (o Options) complete() (Options, error) {
	if o.Store == nil || o.Transport == nil || len(o.Handlers) == 0 || o.Owner == "" {
		return o, fmt.Errorf("a worker needs a store, a transport, at least one handler and an owner")
	}
	o.Concurrency, o.Window = orElse(o.Concurrency, 10), orElse(o.Window, 512)
	o.Lease, o.Stale = orElse(o.Lease, 30*time.Second), orElse(o.Stale, 30*time.Second)
	o.Timeout, o.MaxCrashes = orElse(o.Timeout, 5*time.Minute), orElse(o.MaxCrashes, 5)
	if o.Around == nil {
		o.Around = func(ctx context.Context, _ englog.Claimed) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
