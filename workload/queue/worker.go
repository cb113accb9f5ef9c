package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Worker claims tasks and runs them until it is drained.
type Worker struct {
	o        Options
	handlers map[englog.Kind]Handler
	kinds    []englog.KindVersion
	metrics  *metrics

	slots    chan struct{} // one element for each running task
	pending  atomic.Int64  // received and not yet ended, running ones included
	freed    chan struct{}
	inbox    chan englog.Delivery
	finishes chan finish
	acks     chan []englog.Delivery
	hurry    chan struct{} // wakes the sweeper: the transport was wiped

	started    atomic.Bool
	draining   chan struct{} // closed: claim nothing more
	drainOnce  sync.Once
	urgent     chan struct{} // closed: hand back what runs
	urgentOnce sync.Once
	dispatched chan struct{} // closed: nothing more is started
	drained    chan struct{} // closed: everything ended or handed back
	stopped    chan struct{} // closed: the loops that serve running tasks may end
	running    sync.WaitGroup
	held       leases
	opened     atomic.Bool
}

// New checks the options and returns a worker that does not run yet.
func New(o Options) (*Worker, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	w := &Worker{o: o, handlers: map[englog.Kind]Handler{}, slots: make(chan struct{}, o.Concurrency),
		freed: make(chan struct{}, 1), inbox: make(chan englog.Delivery, o.Concurrency+claimBatch), finishes: make(chan finish),
		acks: make(chan []englog.Delivery, 64), hurry: make(chan struct{}, 1), draining: make(chan struct{}),
		urgent: make(chan struct{}), dispatched: make(chan struct{}), drained: make(chan struct{}),
		stopped: make(chan struct{}), held: leases{held: map[uuid.UUID]*lease{}}}
	for _, h := range o.Handlers {
		w.handlers[h.Kind()] = h
		w.kinds = append(w.kinds, englog.KindVersion{Kind: h.Kind(), Version: h.Kind().Version()})
	}
	w.metrics = newMetrics(w)
	if o.Registerer != nil {
		if err := w.metrics.register(o.Registerer); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Run works until Drain has ended, or until ctx ends: then running tasks are handed back at once. It needs neither
// database nor transport to be there at the start, and survives the loss of either.
func (w *Worker) Run(ctx context.Context) error {
	w.started.Store(true)
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var front, back sync.WaitGroup
	for _, loop := range []func(context.Context){w.read, w.dispatch, w.relay, w.sweep} {
		front.Go(func() { loop(live) })
	}
	for _, loop := range []func(context.Context){w.finishLoop, w.ackLoop, w.heartbeat} {
		back.Go(func() { loop(live) })
	}
	select {
	case <-ctx.Done():
		now, stop := context.WithCancel(context.Background())
		stop()
		w.Drain(now)
	case <-w.drained:
	}
	front.Wait()
	w.emptyInbox(live)
	close(w.stopped)
	defer time.AfterFunc(redisBudget, cancel).Stop()
	back.Wait()
	w.leave()
	return nil
}

// Drain stops claiming, waits for running tasks until ctx ends, and hands back those that still run without charging
// an attempt. It returns when nothing of this worker is left in the store. It may be called more than once.
func (w *Worker) Drain(ctx context.Context) {
	w.drainOnce.Do(func() {
		close(w.draining)
		go w.interrupt()
		go w.finishRunning()
	})
	select {
	case <-w.drained:
	case <-ctx.Done():
		w.urgentOnce.Do(func() { close(w.urgent) })
		<-w.drained
	}
}

// interrupt ends the read that waits for messages.
func (w *Worker) interrupt() {
	ctx, cancel := context.WithTimeout(context.Background(), redisBudget)
	defer cancel()
	w.o.Transport.Interrupt(ctx)
}

func (w *Worker) finishRunning() {
	defer close(w.drained)
	if !w.started.Load() {
		return
	}
	<-w.dispatched
	idle := make(chan struct{})
	go func() { w.running.Wait(); close(idle) }()
	select {
	case <-idle:
		return
	case <-w.urgent:
	}
	w.handBack()
	// Handlers that heed their context end now; one that does not is fenced and dies with the process.
	select {
	case <-idle:
	case <-time.After(time.Second):
	}
}

func (w *Worker) handBack() {
	held := w.held.abandon()
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeBudget)
	defer cancel()
	err := again(ctx, func() error { return w.o.Store.Release(ctx, held) })
	if err != nil {
		w.o.Log.Error("tasks could not be handed back; they come back when their leases end", "tasks", len(held), "error", err)
		return
	}
	w.o.Log.Info("tasks handed back", "tasks", len(held))
}

// emptyInbox gives what was received and not claimed to other workers.
func (w *Worker) emptyInbox(ctx context.Context) {
	var unread []englog.Delivery
	for len(w.inbox) > 0 {
		unread = append(unread, <-w.inbox)
	}
	if len(unread) > 0 {
		w.giveUp(ctx, unread)
	}
}

func (w *Worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), redisBudget)
	defer cancel()
	if err := w.o.Transport.Leave(ctx); err != nil {
		w.o.Log.Warn("leaving the queue", "error", err)
	}
}

// InFlight is the number of tasks that run now.
func (w *Worker) InFlight() int { return len(w.slots) }

// Connected reports whether the transport was reached at least once and its streams are in place.
func (w *Worker) Connected() bool { return w.opened.Load() }

func (w *Worker) isDraining() bool {
	select {
	case <-w.draining:
		return true
	default:
		return false
	}
}

// pause waits, but not beyond the start of a drain; it reports whether to go on.
func (w *Worker) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.draining:
		return false
	}
}

// again repeats what fails, a little slower each time, until ctx ends.
func again(ctx context.Context, run func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := run()
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
