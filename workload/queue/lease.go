package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// lease is a task that this worker holds.
type lease struct {
	task   englog.Claimed
	ctx    context.Context
	cancel context.CancelFunc
	gone   atomic.Pointer[string]
}

// abandon ends the run: whatever it finds is no longer wanted. Why is the run's outcome in the metrics.
func (l *lease) abandon(why string) {
	l.gone.CompareAndSwap(nil, &why)
	l.cancel()
}

// leases are all tasks that this worker holds, by token.
type leases struct {
	mu   sync.Mutex
	held map[uuid.UUID]*lease
}

func (s *leases) hold(ctx context.Context, c englog.Claimed, timeout time.Duration) *lease {
	l := &lease{task: c}
	l.ctx, l.cancel = context.WithTimeout(ctx, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[c.Token] = l
	return l
}

func (s *leases) drop(l *lease) {
	l.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, l.task.Token)
}

func (s *leases) tasks() []englog.Claimed {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := make([]englog.Claimed, 0, len(s.held))
	for _, l := range s.held {
		tasks = append(tasks, l.task)
	}
	return tasks
}

// lost abandons the tasks, of those asked about, whose leases were not kept.
func (s *leases) lost(asked []englog.Claimed, kept []uuid.UUID) {
	still := make(map[uuid.UUID]bool, len(kept))
	for _, id := range kept {
		still[id] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range asked {
		if l := s.held[c.Token]; l != nil && !still[c.ID] {
			l.abandon("lost")
		}
	}
}

// abandon ends all runs and returns what they held.
func (s *leases) abandon() []englog.Claimed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tasks []englog.Claimed
	for _, l := range s.held {
		l.abandon("handed_back")
		tasks = append(tasks, l.task)
	}
	return tasks
}

// heartbeat keeps the leases of running tasks, until nothing runs any more.
func (w *Worker) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(w.o.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-ticker.C:
			w.extend(ctx)
		}
	}
}

func (w *Worker) extend(ctx context.Context) {
	held := w.held.tasks()
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.Lease/3)
	defer cancel()
	var kept []uuid.UUID
	err := again(ctx, func() (err error) {
		kept, err = w.o.Store.Extend(ctx, held, w.o.Lease)
		return err
	})
	if err != nil {
		w.o.Log.Warn("leases were not extended", "tasks", len(held), "error", err)
		return
	}
	w.held.lost(held, kept)
}
