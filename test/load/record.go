package load

import (
	"sync"
	"time"
)

// outcome is what became of one request that was sent.
type outcome struct {
	op       Op
	class    Class
	due      time.Time
	sent     time.Time
	end      time.Time
	kind     string // "" = answered as expected
	detail   string
	revision string // of the answer; of the connection's last answer when there was none
}

// Failure is one request that failed.
type Failure struct {
	Time     time.Time `json:"time"` // when it was known to have failed
	Sent     time.Time `json:"sent"`
	Kind     string    `json:"kind"`
	Op       string    `json:"op"`
	Class    string    `json:"class"`
	Revision string    `json:"revision,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}

// keptFailures bounds the failures that are kept one by one; all are counted.
const keptFailures = 1000

// Second is one second of a run, counted from its start.
type Second struct {
	Due    int `json:"due"`
	Sent   int `json:"sent"`
	OK     int `json:"ok"`
	Failed int `json:"failed"`
}

// Span is how often a revision answered, and when first and last.
type Span struct {
	Answers int       `json:"answers"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

func (s *Span) add(t time.Time) {
	if s.Answers == 0 || t.Before(s.First) {
		s.First = t
	}
	if t.After(s.Last) {
		s.Last = t
	}
	s.Answers++
}

// recorder adds outcomes up. Its methods may be called from many goroutines.
type recorder struct {
	mu        sync.Mutex
	start     time.Time
	due       int
	sent      int
	failed    int
	late      int
	maxLag    time.Duration
	byKind    map[string]int
	failures  []Failure
	series    []Second
	latencies [2]histogram
	all       histogram
	revisions map[string]*[2]Span
	lastFail  [2]time.Time
}

// lateAfter is the lag from which a request counts as sent late.
const lateAfter = 10 * time.Millisecond

func newRecorder(start time.Time) *recorder {
	return &recorder{start: start, byKind: map[string]int{}, revisions: map[string]*[2]Span{}}
}

func (r *recorder) second(t time.Time) *Second {
	i := max(int(t.Sub(r.start)/time.Second), 0)
	for len(r.series) <= i {
		r.series = append(r.series, Second{})
	}
	return &r.series[i]
}

// noteDue counts a request as due, and as sent or not.
func (r *recorder) noteDue(due time.Time, lag time.Duration, sent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due++
	s := r.second(due)
	s.Due++
	r.maxLag = max(r.maxLag, lag)
	if lag > lateAfter {
		r.late++
	}
	if sent {
		r.sent++
		s.Sent++
	}
}

func (r *recorder) noteOutcome(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.kind != "" {
		r.fail(o)
		return
	}
	r.second(o.end).OK++
	r.all.add(o.end.Sub(o.due))
	r.latencies[o.class].add(o.end.Sub(o.due))
	spans := r.revisions[o.revision]
	if spans == nil {
		spans = &[2]Span{}
		r.revisions[o.revision] = spans
	}
	spans[o.class].add(o.end)
}

func (r *recorder) fail(o outcome) {
	r.failed++
	r.byKind[o.class.String()+" "+o.kind]++
	r.second(o.end).Failed++
	if o.end.After(r.lastFail[o.class]) {
		r.lastFail[o.class] = o.end
	}
	if len(r.failures) < keptFailures {
		r.failures = append(r.failures, Failure{
			Time: o.end, Sent: o.sent, Kind: o.kind, Op: o.op.String(), Class: o.class.String(),
			Revision: o.revision, Detail: o.detail,
		})
	}
}

// Tick is the state of a run at one moment, for a live view.
type Tick struct {
	Seconds   float64        `json:"seconds"`
	Due       int            `json:"due"`
	Sent      int            `json:"sent"`
	Failed    int            `json:"failed"`
	PerSecond int            `json:"per_second"` // answers in the last full second
	P99       float64        `json:"p99_ms"`
	Revisions map[string]int `json:"revisions"` // answers so far
}

func (r *recorder) tick(now time.Time) Tick {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := Tick{
		Seconds: now.Sub(r.start).Seconds(), Due: r.due, Sent: r.sent, Failed: r.failed,
		P99: ms(r.all.quantile(.99)), Revisions: map[string]int{},
	}
	if full := int(t.Seconds) - 1; full >= 0 && full < len(r.series) {
		t.PerSecond = r.series[full].OK + r.series[full].Failed
	}
	for rev, spans := range r.revisions {
		t.Revisions[rev] = spans[Fresh].Answers + spans[KeepAlive].Answers
	}
	return t
}
