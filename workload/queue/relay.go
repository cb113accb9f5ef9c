package queue

import (
	"context"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// relay publishes due tasks of the kinds that this worker runs, so a kind that no live worker knows stays in the store. It
// never fills a stream beyond the window: a backlog waits in PostgreSQL, where it costs nothing.
func (w *Worker) relay(ctx context.Context) {
	wait := relayBusy
	for w.pause(wait) {
		published, full := w.publishDue(ctx)
		switch {
		case published > 0:
			wait = relayBusy
		case full:
			wait = min(2*wait, relayFull)
		default:
			wait = relayIdle
		}
	}
}

// publishDue fills the streams up to the window; full reports that some kind had no room left.
func (w *Worker) publishDue(ctx context.Context) (published int, full bool) {
	room, full, err := w.room(ctx)
	if err != nil || len(room) == 0 {
		return 0, full // the reader says that the transport is away
	}
	bounded, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	refs, err := w.o.Store.Due(bounded, room)
	if err != nil {
		w.o.Log.Warn("due tasks cannot be read", "error", err)
		return 0, false
	}
	if len(refs) == 0 {
		return 0, full
	}
	if err := w.o.Transport.Publish(bounded, refs); err != nil {
		w.takeBack(refs)
		return 0, false
	}
	return len(refs), full
}

func (w *Worker) room(ctx context.Context) (room []englog.KindRoom, full bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	depth, err := w.o.Transport.Depth(ctx, w.kinds)
	if err != nil {
		return nil, false, err
	}
	for i, k := range w.kinds {
		free := min(w.o.Window-depth[i], dueBatch)
		if free <= 0 {
			full = true
			continue
		}
		room = append(room, englog.KindRoom{KindVersion: k, Room: free})
	}
	return room, full, nil
}

func (w *Worker) takeBack(refs []englog.TaskRef) {
	if err := takeBack(w.o.Store, refs); err != nil {
		w.o.Log.Warn("tasks were not published; the sweep finds them", "tasks", len(refs), "error", err)
	}
}

// takeBack makes tasks ready again whose messages were not sent. A message that was sent all the same does no harm.
func takeBack(store interface {
	Unqueue(context.Context, []uuid.UUID) error
}, refs []englog.TaskRef) error {
	ids := make([]uuid.UUID, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeBudget)
	defer cancel()
	return store.Unqueue(ctx, ids)
}

// sweep repairs what was lost, once a second, and at once after the transport was wiped.
func (w *Worker) sweep(ctx context.Context) {
	var reclaimed, announced, tidied time.Time
	for stale := w.o.Stale; !w.isDraining(); {
		w.sweepOnce(ctx, stale)
		now := time.Now()
		if every(&announced, now, announceTTL/3) && w.opened.Load() {
			_ = w.o.Transport.Announce(ctx, w.kinds, announceTTL)
		}
		if every(&reclaimed, now, reclaimEvery) && w.opened.Load() {
			w.reclaim(ctx)
		}
		if every(&tidied, now, tidyEvery) && w.opened.Load() {
			_ = w.o.Transport.Tidy(ctx)
		}
		stale = w.awaitSweep()
	}
}

// every reports whether a period has passed since last, and if so notes now.
func every(last *time.Time, now time.Time, period time.Duration) bool {
	if now.Sub(*last) < period {
		return false
	}
	*last = now
	return true
}

// awaitSweep waits for the next sweep and returns how old a message must be to count as lost.
func (w *Worker) awaitSweep() time.Duration {
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.draining:
	case <-w.hurry:
		w.pause(sweepEvery / 2)
		return min(w.o.Stale, sweepEvery/2)
	}
	return w.o.Stale
}

func (w *Worker) sweepOnce(ctx context.Context, stale time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, storeBudget)
	defer cancel()
	swept, err := w.o.Store.Sweep(ctx, stale, w.o.MaxCrashes)
	if err != nil {
		w.o.Log.Warn("the sweep failed", "error", err)
		return
	}
	w.metrics.swept(swept)
	if swept != (englog.Swept{}) {
		w.o.Log.Info("swept", "requeued", swept.Requeued, "crashed", swept.Crashed, "poisoned", swept.Poisoned)
	}
}

func (w *Worker) reclaim(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	got, err := w.o.Transport.Reclaim(bounded, reclaimIdle, w.o.Concurrency)
	if err != nil {
		return
	}
	for _, d := range got {
		select {
		case w.inbox <- d:
			w.pending.Add(1)
		default: // no room: it stays pending, and comes again
		}
	}
}

// ackLoop acknowledges in the background. A message that was not acknowledged comes again and is then found stale.
func (w *Worker) ackLoop(ctx context.Context) {
	for {
		select {
		case done := <-w.acks:
			w.ack(ctx, done)
		case <-w.stopped:
			for len(w.acks) > 0 {
				w.ack(ctx, <-w.acks)
			}
			return
		}
	}
}

func (w *Worker) ack(ctx context.Context, done []englog.Delivery) {
	for len(w.acks) > 0 && len(done) < 4*claimBatch {
		done = append(done, <-w.acks...)
	}
	ctx, cancel := context.WithTimeout(ctx, redisBudget)
	defer cancel()
	if err := w.o.Transport.Ack(ctx, done); err != nil {
		w.o.Log.Debug("messages were not acknowledged", "messages", len(done), "error", err)
	}
}
