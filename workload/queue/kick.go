package queue

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

const (
	kickBudget  = 50 * time.Millisecond
	kickRefresh = time.Second
	kickBatch   = 256
)

// Kicker publishes tasks right after the commit that made them, so that they need not wait for a relay. It works in the
// background and never delays or fails the request: without Redis, without a worker or beyond the window, tasks are
// made ready instead of queued, and a relay finds them.
type Kicker struct {
	publisher Publisher
	store     interface {
		Unqueue(context.Context, []uuid.UUID) error
	}
	kinds  []englog.KindVersion
	window int
	log    *slog.Logger
	refs   chan []englog.TaskRef
	known  atomic.Pointer[map[englog.Kind]*atomic.Int64] // room left in the streams of each kind
}

// NewKicker returns a kicker; Run makes it work. Store takes back what could not be published.
func NewKicker(p Publisher, store interface {
	Unqueue(context.Context, []uuid.UUID) error
}, log *slog.Logger) *Kicker {
	return newKicker(p, store, englog.TaskKinds(), 256, log)
}

func newKicker(p Publisher, store interface {
	Unqueue(context.Context, []uuid.UUID) error
}, kinds []englog.Kind, window int, log *slog.Logger) *Kicker {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Kicker{publisher: p, store: store, window: window, log: log, refs: make(chan []englog.TaskRef, 1024)}
	for _, kind := range kinds {
		k.kinds = append(k.kinds, englog.KindVersion{Kind: kind, Version: kind.Version()})
	}
	k.forget()
	return k
}

func (k *Kicker) forget() { k.known.Store(&map[englog.Kind]*atomic.Int64{}) }

// Accepts says whether tasks of all the kinds may be made queued: then they must be given to Kick after the commit. It
// reserves their place in the streams.
func (k *Kicker) Accepts(kinds []englog.Kind) bool {
	known := *k.known.Load()
	for _, kind := range kinds {
		if room := known[kind]; room == nil || room.Load() <= 0 {
			return false
		}
	}
	for _, kind := range kinds {
		known[kind].Add(-1)
	}
	return len(kinds) > 0 && len(k.refs) < cap(k.refs)/2
}

// Kick publishes tasks soon. It never blocks.
func (k *Kicker) Kick(refs []englog.TaskRef) {
	if len(refs) == 0 {
		return
	}
	select {
	case k.refs <- refs:
	default:
		go k.giveBack(refs)
	}
}

// Run publishes until ctx ends, and then what is left.
func (k *Kicker) Run(ctx context.Context) {
	k.refresh()
	ticker := time.NewTicker(kickRefresh)
	defer ticker.Stop()
	lastDepth := time.Now()
	for {
		select {
		case <-ctx.Done():
			k.flush()
			return
		case <-ticker.C:
			k.refresh()
			lastDepth = time.Now()
		case refs := <-k.refs:
			k.publish(k.gather(refs))
			if time.Since(lastDepth) > kickBudget {
				k.refresh()
				lastDepth = time.Now()
			}
		}
	}
}

func (k *Kicker) gather(refs []englog.TaskRef) []englog.TaskRef {
	for len(refs) < kickBatch {
		select {
		case more := <-k.refs:
			refs = append(refs, more...)
		default:
			return refs
		}
	}
	return refs
}

func (k *Kicker) flush() {
	for len(k.refs) > 0 {
		k.publish(k.gather(<-k.refs))
	}
}

func (k *Kicker) publish(refs []englog.TaskRef) {
	ctx, cancel := context.WithTimeout(context.Background(), kickBudget)
	defer cancel()
	if err := k.publisher.Publish(ctx, refs); err != nil {
		k.forget()
		k.giveBack(refs)
	}
}

func (k *Kicker) giveBack(refs []englog.TaskRef) {
	if err := takeBack(k.store, refs); err != nil {
		k.log.Warn("tasks were not published; a sweep finds them", "tasks", len(refs), "error", err)
	}
}

// refresh asks which kinds live workers know, and how much room their streams have.
func (k *Kicker) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), 4*kickBudget)
	defer cancel()
	known, err := k.publisher.Known(ctx, k.kinds)
	if err != nil {
		k.forget()
		return
	}
	depth, err := k.publisher.Depth(ctx, known)
	if err != nil {
		k.forget()
		return
	}
	room := make(map[englog.Kind]*atomic.Int64, len(known))
	for i, kind := range known {
		left := &atomic.Int64{}
		left.Store(int64(k.window - depth[i]))
		room[kind.Kind] = left
	}
	k.known.Store(&room)
}
