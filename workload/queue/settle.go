package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// settle writes what became of a run, and returns the word for it in the metrics. It goes on trying for as long as a lease
// lasts: a result is worth more than the few seconds in which a database restarts.
func (w *Worker) settle(l *lease, insight *englog.Insight, err error) string {
	if why := l.gone.Load(); why != nil {
		return *why
	}
	if err == nil {
		err = w.finish(l.task, insight)
		if err == nil {
			return "done"
		}
	}
	if errors.Is(err, englog.ErrLeaseLost) {
		return "lost"
	}
	verdict := Judge(err, int(l.task.Attempt), int(l.task.MaxAttempts), w.o.Random())
	if err := w.record(l.task, verdict); err != nil {
		w.o.Log.Warn("a failed run was not recorded", "kind", l.task.Kind, "task", l.task.ID, "error", err)
		return "lost"
	}
	w.o.Log.Info("a task did not succeed", "kind", l.task.Kind, "task", l.task.ID, "request_id", l.task.RequestID,
		"attempt", l.task.Attempt, "code", verdict.Cause.Code, "now", verdict.State, "after", verdict.After)
	return verdict.outcome()
}

func (v Verdict) outcome() string {
	switch {
	case v.State != englog.TaskReady:
		return string(v.State)
	case v.Counts:
		return "retried"
	default:
		return "parked"
	}
}

func (w *Worker) record(c englog.Claimed, v Verdict) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.o.Lease)
	defer cancel()
	var lost error
	err := again(ctx, func() error {
		err := w.recordOnce(ctx, c, v)
		if errors.Is(err, englog.ErrLeaseLost) {
			lost, err = err, nil
		}
		return err
	})
	return errors.Join(err, lost)
}

func (w *Worker) recordOnce(ctx context.Context, c englog.Claimed, v Verdict) error {
	switch v.State {
	case englog.TaskDead:
		return w.o.Store.Kill(ctx, c, v.Cause)
	case englog.TaskCancelled:
		return w.o.Store.Cancel(ctx, c, v.Cause)
	default:
		return w.o.Store.Retry(ctx, c, v.After, v.Cause, v.Counts)
	}
}

// finish is a task that waits for its end to be committed.
type finish struct {
	englog.Finished
	result chan error
}

func (w *Worker) finish(c englog.Claimed, insight *englog.Insight) error {
	f := finish{Finished: englog.Finished{Claimed: c, Insight: insight}, result: make(chan error, 1)}
	select {
	case w.finishes <- f:
		return <-f.result
	case <-w.stopped:
		return englog.ErrLeaseLost
	}
}

// finishLoop commits ends: while one transaction is under way the next ones gather, and are then committed together.
func (w *Worker) finishLoop(ctx context.Context) {
	for {
		select {
		case <-w.stopped:
			return
		case f := <-w.finishes:
			w.linger()
			batch := []finish{f}
			for more := true; more && len(batch) < claimBatch; {
				select {
				case f := <-w.finishes:
					batch = append(batch, f)
				default:
					more = false
				}
			}
			w.finishBatch(ctx, batch)
		}
	}
}

// linger lets more work gather while much is under way: one statement for many tasks costs hardly more than for one.
func (w *Worker) linger() {
	if w.InFlight() <= lingerAbove {
		return
	}
	timer := time.NewTimer(lingerFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.urgent:
	}
}

func (w *Worker) finishBatch(ctx context.Context, batch []finish) {
	done := make([]englog.Finished, len(batch))
	for i, f := range batch {
		done[i] = f.Finished
	}
	ids, err := w.commit(ctx, done)
	if refused(err) && len(batch) > 1 {
		// One of them is to blame; alone, the others pass.
		for i := range batch {
			w.finishBatch(ctx, batch[i:i+1])
		}
		return
	}
	ended := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		ended[id] = true
	}
	for _, f := range batch {
		switch {
		case err != nil:
			f.result <- err
		case ended[f.ID]:
			f.result <- nil
		default:
			f.result <- fmt.Errorf("finishing a task: %w", englog.ErrLeaseLost)
		}
	}
}

func (w *Worker) commit(ctx context.Context, done []englog.Finished) (ids []uuid.UUID, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.o.Lease)
	defer cancel()
	var no error
	err = again(ctx, func() (err error) {
		if ids, err = w.o.Store.Finish(ctx, done); refused(err) {
			no, err = err, nil
		}
		return err
	})
	return ids, errors.Join(err, no)
}

// refused reports that the store will never take what it was given.
func refused(err error) bool {
	var failure *englog.Failure
	return errors.As(err, &failure) && failure.Class == englog.FailurePermanent
}
