package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// read fetches messages while there are free slots, so that what this worker cannot run yet stays with the others.
func (w *Worker) read(ctx context.Context) {
	failures := 0
	for !w.isDraining() {
		if !w.opened.Load() {
			w.open(ctx)
		}
		free := w.o.Concurrency - int(w.pending.Load())
		if free <= 0 {
			w.awaitFree()
			continue
		}
		got, reset, err := w.o.Transport.Receive(ctx, free, blockFor)
		if reset {
			w.wake(w.hurry)
		}
		if err != nil {
			failures++
			w.transportFailed(err, failures)
			continue
		}
		failures = 0
		w.take(ctx, got)
	}
}

func (w *Worker) open(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	if w.o.Transport.Open(ctx) == nil {
		w.opened.Store(true)
		_ = w.o.Transport.Announce(ctx, w.kinds, announceTTL)
	}
}

func (w *Worker) transportFailed(err error, failures int) {
	if failures == 1 {
		w.o.Log.Warn("Redis does not answer: tasks wait in the database", "error", err)
	}
	w.opened.Store(false)
	w.pause(min(time.Duration(failures)*100*time.Millisecond, time.Second))
}

func (w *Worker) awaitFree() {
	select {
	case <-w.freed:
	case <-w.draining:
	}
}

func (w *Worker) wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take passes messages on to the dispatcher; those that a drain overtakes go to other workers.
func (w *Worker) take(ctx context.Context, got []englog.Delivery) {
	w.pending.Add(int64(len(got)))
	for i, d := range got {
		select {
		case w.inbox <- d:
		case <-w.draining:
			w.giveUp(ctx, got[i:])
			return
		}
	}
}

func (w *Worker) giveUp(ctx context.Context, unread []englog.Delivery) {
	ctx, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	if err := w.o.Transport.Return(ctx, unread); err != nil {
		w.o.Log.Warn("messages were not returned; others reclaim them", "messages", len(unread), "error", err)
	}
	w.done(len(unread))
}

// done notes that n received messages are dealt with.
func (w *Worker) done(n int) {
	w.pending.Add(int64(-n))
	w.wake(w.freed)
}

// dispatch claims what was received, many tasks at once when many wait, and never more than there are slots.
func (w *Worker) dispatch(ctx context.Context) {
	defer close(w.dispatched)
	for {
		select {
		case <-w.draining:
			return
		case d := <-w.inbox:
			w.linger()
			batch, ok := w.gather(d)
			if !ok {
				w.giveUp(ctx, batch)
				return
			}
			w.claim(ctx, batch)
		}
	}
}

// gather takes a slot for the first message and for as many more as are there.
func (w *Worker) gather(first englog.Delivery) ([]englog.Delivery, bool) {
	batch := []englog.Delivery{first}
	select {
	case w.slots <- struct{}{}:
	case <-w.draining:
		return batch, false
	}
	for len(batch) < claimBatch {
		select {
		case w.slots <- struct{}{}:
		default:
			return batch, true
		}
		select {
		case d := <-w.inbox:
			batch = append(batch, d)
		default:
			<-w.slots
			return batch, true
		}
	}
	return batch, true
}

// claim takes the tasks of a batch and starts them. A message whose task cannot be claimed is stale or doubled. Messages are
// acknowledged once the claims are committed: from then on the lease guards the task.
func (w *Worker) claim(ctx context.Context, batch []englog.Delivery) {
	ids := make([]uuid.UUID, len(batch))
	for i, d := range batch {
		ids[i] = d.ID
	}
	w.running.Add(len(batch))
	claimed, err := w.claimIDs(ctx, ids)
	if err != nil {
		w.giveUp(ctx, batch)
	} else {
		w.acks <- batch
		w.done(len(batch) - len(claimed))
	}
	for range len(batch) - len(claimed) {
		<-w.slots
		w.running.Done()
	}
	for _, c := range claimed {
		l := w.held.hold(ctx, c, w.o.Timeout)
		go w.run(l)
	}
}

// claimIDs goes on until the database answers or a drain begins. A doubled id must not be claimed twice in one statement,
// or one of the two tokens would be lost.
func (w *Worker) claimIDs(ctx context.Context, ids []uuid.UUID) (claimed []englog.Claimed, err error) {
	seen := make(map[uuid.UUID]bool, len(ids))
	unique := ids[:0:0]
	for _, id := range ids {
		if !seen[id] {
			seen[id], unique = true, append(unique, id)
		}
	}
	for failures := 0; ; failures++ {
		bounded, cancel := context.WithTimeout(ctx, storeBudget)
		claimed, err = w.o.Store.Claim(bounded, unique, w.kinds, w.o.Owner, w.o.Lease)
		cancel()
		if err == nil {
			return claimed, nil
		}
		if failures == 0 {
			w.o.Log.Warn("tasks cannot be claimed", "error", err)
		}
		if !w.pause(min(time.Duration(failures+1)*50*time.Millisecond, time.Second)) {
			return nil, err
		}
	}
}

func (w *Worker) run(l *lease) {
	defer func() {
		w.held.drop(l)
		<-w.slots
		w.done(1)
		w.running.Done()
	}()
	start := time.Now()
	ctx, end := w.o.Around(l.ctx, l.task)
	insight, err := w.handle(ctx, l.task)
	outcome := w.settle(l, insight, err)
	end(err)
	w.metrics.observe(l.task.Kind, outcome, time.Since(start))
}

func (w *Worker) handle(ctx context.Context, c englog.Claimed) (insight *englog.Insight, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.o.Log.Error("a handler panicked", "kind", c.Kind, "task", c.ID, "stack", string(debug.Stack()))
			err = englog.Fail(englog.FailureRetryable, "panic", fmt.Errorf("the handler panicked: %T", p))
		}
	}()
	return w.handlers[c.Kind].Handle(ctx, c)
}
