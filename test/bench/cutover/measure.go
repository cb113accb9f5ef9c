package main

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/garnizeh/englog-operator/test/load"
)

// sample is one release of one system, as the clients saw it.
type sample struct {
	Rate     int            `json:"rate"`
	System   string         `json:"system"`
	Fault    fault          `json:"fault,omitempty"`
	Outcome  string         `json:"outcome"`
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Kinds    map[string]int `json:"failed_by_kind,omitempty"`
	// FirstNew is in seconds after the applied spec; Endpoints and the last old answers are in milliseconds after the switch write.
	FirstNew         float64 `json:"first_new_s"`
	Endpoints        float64 `json:"endpoints_ms"`
	LastOld          float64 `json:"last_old_ms"`
	LastOldKeepAlive float64 `json:"last_old_keepalive_ms"`
	Mixed            float64 `json:"mixed_s"` // seconds in which fresh connections met both
	Writes           int     `json:"writes"`
	P99              float64 `json:"p99_ms"`
	// Of a bad release that users reached: milliseconds to the last failure, from the write that took them back and from the check that
	// decided it; zero where there was none.
	BackToLastBad  float64 `json:"back_to_last_bad_ms,omitempty"`
	CheckToLastBad float64 `json:"check_to_last_bad_ms,omitempty"`
}

// settled is how long the load runs before the release and after its end. One that users have reached and left is watched for longer:
// connections that were opened while it served stay with it, for 30 s at the most.
const (
	settled     = 3 * time.Second
	settledBad  = 10 * time.Second
	settledLate = 35 * time.Second
)

func (b *bench) measure(ctx context.Context, s system, r release) (sample, error) {
	out := sample{Rate: b.settings.rate, System: s.name(), Fault: r.fault}
	cfg, err := b.loadConfig(ctx, s)
	if err != nil {
		return out, err
	}
	watched, stop := context.WithCancel(ctx)
	defer stop()
	moves, err := b.watchRoute(watched, s.service())
	if err != nil {
		return out, err
	}
	run, err := load.Start(ctx, cfg, b.accounts)
	if err != nil {
		return out, err
	}
	applied, old, end, err := b.underLoad(ctx, s, r, run)
	run.Stop()
	if err != nil {
		return out, errors.Join(err, run.Report().Void())
	}
	stop()
	rep := run.Report()
	if err := rep.Void(); err != nil {
		return out, err
	}
	out.Outcome, out.Requests, out.Failed, out.Kinds, out.P99 = end.outcome, rep.Sent, rep.Failed, rep.FailedByKind, rep.Latency["all"].P99
	route := <-moves
	out.seen(rep, old, applied, route)
	out.left(rep, route, end.spent)
	out.Writes, err = countWrites(b.audit, applied, time.Now(), s.actor)
	return out, err
}

// underLoad brings the release and returns when it was applied, which revisions answered before, and what became of it.
func (b *bench) underLoad(ctx context.Context, s system, r release, run *load.Run) (applied time.Time, old map[string]int, end ending, err error) {
	if err := pause(ctx, settled); err != nil {
		return time.Time{}, nil, end, err
	}
	old = run.Tick().Revisions
	applied = time.Now()
	if end, err = s.bring(ctx, r); err != nil {
		return applied, old, end, err
	}
	return applied, old, end, b.settle(ctx, s, r, run)
}

// settle lets the load go on for a while; for a good release of this operator until enough requests were sent to it.
func (b *bench) settle(ctx context.Context, s system, r release, run *load.Run) error {
	after := map[fault]time.Duration{none: settled, foundLate: settledLate}[r.fault]
	if after == 0 {
		after = settledBad
	}
	if err := pause(ctx, after); err != nil {
		return err
	}
	for s == b.systems[0] && r.fault == none && run.Tick().Sent < b.settings.requests {
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// seen fills in what the answers tell.
func (o *sample) seen(rep *load.Report, old map[string]int, applied time.Time, route route) {
	var firstNew, firstNewFresh, lastOld, lastOldKeepAlive time.Time
	for revision, spans := range rep.By {
		if _, was := old[revision]; was {
			lastOld = latest(lastOld, spans[load.Fresh.String()].Last)
			lastOldKeepAlive = latest(lastOldKeepAlive, spans[load.KeepAlive.String()].Last)
			continue
		}
		firstNew = earliest(firstNew, rep.FirstAnswer(revision))
		firstNewFresh = earliest(firstNewFresh, spans[load.Fresh.String()].First)
	}
	if firstNew.IsZero() {
		return // never served
	}
	o.FirstNew = round(firstNew.Sub(applied).Seconds())
	o.Mixed = round(max(0, lastOld.Sub(firstNewFresh).Seconds()))
	if len(route.moved) > 0 {
		o.LastOld = sinceMs(lastOld, route.moved[0])
		o.LastOldKeepAlive = sinceMs(lastOldKeepAlive, route.moved[0])
		o.Endpoints = sinceMs(route.converged, route.moved[0])
	}
}

// left fills in how a bad release was left, where users had reached it.
func (o *sample) left(rep *load.Report, route route, spent time.Time) {
	if o.Fault == none || len(route.moved) < 2 {
		return
	}
	o.BackToLastBad = sinceMs(rep.LastFailed.Any(), route.moved[1])
	if !spent.IsZero() {
		o.CheckToLastBad = sinceMs(rep.LastFailed.Any(), spent)
	}
}

// sinceMs is never negative: an answer that arrives while the switch is written is no late one.
func sinceMs(t, from time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return math.Max(0, math.Round(t.Sub(from).Seconds()*1000))
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func round(f float64) float64 { return math.Round(f*100) / 100 }
