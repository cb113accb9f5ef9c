package load

import (
	"fmt"
	"time"
)

// Report is the result of one run.
type Report struct {
	Rate          int            `json:"rate"`
	Started       time.Time      `json:"started"`
	Seconds       float64        `json:"seconds"`
	Due           int            `json:"due"`
	Sent          int            `json:"sent"`
	Failed        int            `json:"failed"`
	FailedByKind  map[string]int `json:"failed_by_kind"`
	Failures      []Failure      `json:"failures"`  // the first 1,000
	SentLate      int            `json:"sent_late"` // more than 10 ms after being due
	MaxLagMs      float64        `json:"max_lag_ms"`
	Created       int            `json:"created"` // entries acknowledged during the run
	Dialed        uint64         `json:"dialed"`
	IdleClosed    int            `json:"idle_closed"` // keep-alive connections that the server closed while they rested
	LoginFailures int            `json:"login_failures"`
	LastFailed    LastFailed     `json:"last_failed"`

	Latency map[string]Latency         `json:"latency_ms"` // all, fresh, keep_alive
	By      map[string]map[string]Span `json:"revisions"`  // revision → connection class → span
	Series  []Second                   `json:"series"`
}

// LastFailed is when the last request of each connection class was known to have failed; zero when none had.
type LastFailed struct {
	Fresh     time.Time `json:"fresh,omitzero"`
	KeepAlive time.Time `json:"keep_alive,omitzero"`
}

// Any is the later of both.
func (l LastFailed) Any() time.Time {
	if l.KeepAlive.After(l.Fresh) {
		return l.KeepAlive
	}
	return l.Fresh
}

// minimumSent is the part of the due requests that must have been sent for a run to count.
const minimumSent = 0.99

// Void returns why the run does not count, or nil. A void run says nothing about the service: the client was too slow or
// had no ports.
func (r *Report) Void() error {
	if n := r.FailedByKind["fresh no_port"] + r.FailedByKind["keep_alive no_port"]; n > 0 {
		return fmt.Errorf("run is void: %d requests found no local port; use more source addresses or a lower rate", n)
	}
	if r.Due == 0 {
		return fmt.Errorf("run is void: it ended before the first request was due")
	}
	if share := float64(r.Sent) / float64(r.Due); share < minimumSent {
		return fmt.Errorf("run is void: only %d of %d due requests (%.1f %%) were sent; the machine is too busy for this rate",
			r.Sent, r.Due, share*100)
	}
	return nil
}

// LastAnswer is when a revision last answered on connections of a class; the zero time when it never did.
func (r *Report) LastAnswer(revision string, class Class) time.Time {
	return r.By[revision][class.String()].Last
}

// FirstAnswer is when a revision first answered on any connection; the zero time when it never did.
func (r *Report) FirstAnswer(revision string) time.Time {
	var first time.Time
	for _, s := range r.By[revision] {
		if first.IsZero() || s.First.Before(first) {
			first = s.First
		}
	}
	return first
}

func (r *recorder) report() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &Report{
		Started: r.start, Due: r.due, Sent: r.sent, Failed: r.failed, FailedByKind: r.byKind, Failures: r.failures,
		SentLate: r.late, MaxLagMs: ms(r.maxLag), Series: r.series,
		Latency: map[string]Latency{
			"all": r.all.latency(), Fresh.String(): r.latencies[Fresh].latency(),
			KeepAlive.String(): r.latencies[KeepAlive].latency(),
		},
		LastFailed: LastFailed{Fresh: r.lastFail[Fresh], KeepAlive: r.lastFail[KeepAlive]},
		By:         map[string]map[string]Span{},
	}
	for rev, spans := range r.revisions {
		out.By[rev] = map[string]Span{}
		for class, s := range spans {
			if s.Answers > 0 {
				out.By[rev][Class(class).String()] = s
			}
		}
	}
	return out
}
