package main

import (
	"context"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/test/load"
)

// sample is one release of one system, as the clients saw it.
type sample struct {
	System   string
	Fault    fault
	Outcome  string
	Requests int
	Failed   int
	Kinds    map[string]int
	// FirstNew is in seconds after the applied spec; the last old answers are in milliseconds after the switch write.
	FirstNew         float64
	LastOld          float64
	LastOldKeepAlive float64
	Mixed            float64 // seconds in which fresh connections met both
	Writes           int
	P99              float64
}

// settled is how long the load runs before the release and after its end. A bad one is watched longer: connections that
// were opened while it served stay with it.
const (
	settled    = 3 * time.Second
	settledBad = 10 * time.Second
)

func (b *bench) measure(ctx context.Context, s system, r release) (sample, error) {
	out := sample{System: s.name(), Fault: r.fault}
	cfg, err := b.loadConfig(ctx, s)
	if err != nil {
		return out, err
	}
	watched, stop := context.WithCancel(ctx)
	defer stop()
	switches, err := b.watchSwitch(watched, s.service())
	if err != nil {
		return out, err
	}
	run, err := load.Start(ctx, cfg, b.accounts)
	if err != nil {
		return out, err
	}
	applied, old, err := b.underLoad(ctx, s, r, run, &out)
	run.Stop()
	if err != nil {
		return out, err
	}
	stop()
	rep := run.Report()
	if err := rep.Void(); err != nil {
		return out, err
	}
	out.Requests, out.Failed, out.Kinds, out.P99 = rep.Sent, rep.Failed, rep.FailedByKind, rep.Latency["all"].P99
	out.seen(rep, old, applied, <-switches)
	out.Writes, err = countWrites(b.audit, applied, time.Now(), s.actor)
	return out, err
}

// underLoad brings the release and returns when it was applied and which revisions answered before.
func (b *bench) underLoad(ctx context.Context, s system, r release, run *load.Run, out *sample) (time.Time, map[string]int, error) {
	if err := pause(ctx, settled); err != nil {
		return time.Time{}, nil, err
	}
	old := run.Tick().Revisions
	applied := time.Now()
	var err error
	if out.Outcome, err = s.bring(ctx, r); err != nil {
		return applied, old, err
	}
	if r.fault != none {
		return applied, old, pause(ctx, settledBad)
	}
	return applied, old, pause(ctx, settled)
}

// seen fills in what the answers tell.
func (o *sample) seen(rep *load.Report, old map[string]int, applied, switched time.Time) {
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
	if !switched.IsZero() {
		o.LastOld = math.Max(0, math.Round(float64(lastOld.Sub(switched).Milliseconds())))
		o.LastOldKeepAlive = math.Max(0, math.Round(float64(lastOldKeepAlive.Sub(switched).Milliseconds())))
	}
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

// watchSwitch watches a Service. When ctx ends, the channel gives the moment its selector was first seen changed, or the
// zero time. Every system is timed by the same watch.
func (b *bench) watchSwitch(ctx context.Context, name string) (<-chan time.Time, error) {
	w, err := b.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(cutover.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return nil, fmt.Errorf("watching Service %s: %w", name, err)
	}
	out := make(chan time.Time, 1)
	go func() {
		<-ctx.Done()
		w.Stop()
	}()
	go func() {
		var at time.Time
		selector := ""
		for event := range w.ResultChan() {
			svc, ok := event.Object.(*corev1.Service)
			if !ok {
				continue
			}
			now := fmt.Sprint(svc.Spec.Selector)
			if selector != "" && now != selector && at.IsZero() {
				at = time.Now()
			}
			selector = now
		}
		out <- at
	}()
	return out, nil
}
