package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Entry is one entry version that the service acknowledged.
type Entry struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	user    *account
}

// Run is one run in progress.
type Run struct {
	cfg      Config
	accounts *Accounts
	rec      *recorder
	dialer   *dialer
	pool     *pool
	mix      []slot

	stop    chan struct{}
	once    sync.Once
	flights sync.WaitGroup
	done    chan struct{}

	mu            sync.Mutex
	created       []Entry
	loginFailures int
	ended         time.Time
}

// Start begins sending with users made by Prepare for the same address. Call Stop, then Report.
func Start(ctx context.Context, cfg Config, accounts *Accounts) (*Run, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := newDialer(cfg.Address, cfg.Sources, portOffset(time.Now()))
	r := &Run{
		cfg: cfg, accounts: accounts, dialer: d, pool: &pool{dialer: d, size: cfg.PoolSize}, mix: mix(cfg.Seed),
		rec: newRecorder(time.Now()), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go r.renew(ctx)
	go r.pace(ctx)
	return r, nil
}

// Tick returns the state of the run now.
func (r *Run) Tick() Tick { return r.rec.tick(time.Now()) }

// Stop ends the run and waits for the answers that are due.
func (r *Run) Stop() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

// Created returns the entries that were acknowledged so far.
func (r *Run) Created() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Entry(nil), r.created...)
}

// Report returns the result; call it after Stop.
func (r *Run) Report() *Report {
	<-r.done
	out := r.rec.report()
	r.mu.Lock()
	defer r.mu.Unlock()
	out.Rate, out.Seconds = r.cfg.Rate, r.ended.Sub(out.Started).Seconds()
	out.Created, out.LoginFailures = len(r.created), r.loginFailures
	out.Dialed, out.IdleClosed = r.dialer.dialed.Load(), r.pool.closed
	return out
}

// pace starts each request when it is due, whatever has become of the ones before.
func (r *Run) pace(ctx context.Context) {
	defer close(r.done)
	defer r.pool.closeAll()
	defer r.finish()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := dueAt(r.rec.start, n, r.cfg.Rate)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-r.stop:
				return
			case <-ctx.Done():
				return
			}
		} else if r.stopping(ctx) {
			return
		}
		r.launch(n, due)
	}
}

func (r *Run) finish() {
	r.flights.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = time.Now()
}

func (r *Run) stopping(ctx context.Context) bool {
	select {
	case <-r.stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (r *Run) launch(n int, due time.Time) {
	lag := time.Since(due)
	r.rec.noteDue(due, lag, lag <= r.cfg.MaxLag)
	if lag > r.cfg.MaxLag {
		return
	}
	r.flights.Add(1)
	go func() {
		defer r.flights.Done()
		r.rec.noteOutcome(r.request(n, due))
	}()
}

// request sends request n once and judges its answer.
func (r *Run) request(n int, due time.Time) outcome {
	s := r.mix[n%len(r.mix)]
	u := r.accounts.users[n%len(r.accounts.users)]
	o := outcome{op: s.op, class: s.class, due: due, sent: time.Now()}
	m, want := r.message(s, u, n)
	a, err := r.send(m, s.class, &o)
	o.end = time.Now()
	switch {
	case err != nil:
		o.kind, o.detail = o.kind+failureKind(err), err.Error()
	case o.end.Sub(o.sent) > r.cfg.Timeout:
		o.kind = "timeout"
	case a.status != want:
		o.kind, o.detail = fmt.Sprintf("status_%d", a.status), clip(string(a.body), 300)
	default:
		r.judge(s.op, u, m, a, &o)
	}
	return o
}

func (r *Run) message(s slot, u *account, n int) (message, int) {
	m := message{method: http.MethodGet, host: r.cfg.Host, token: u.bearer(), last: s.class == Fresh}
	switch s.op {
	case Get:
		m.path = "/api/v1/entries/" + u.pick(uint64(n)*0x9E3779B97F4A7C15>>32)
	case List:
		m.path = "/api/v1/entries?limit=20"
	case Create:
		m.method, m.path, m.body = http.MethodPost, "/api/v1/entries", entryBody(n, r.cfg.Seed)
		return m, http.StatusCreated
	}
	return m, http.StatusOK
}

// send puts m on a connection of the class. On a dial error it prefixes the kind.
func (r *Run) send(m message, class Class, o *outcome) (answer, error) {
	deadline := o.sent.Add(r.cfg.Timeout)
	c, err := r.connect(class, deadline)
	if err != nil {
		o.kind = dialPrefix(err)
		return answer{}, err
	}
	o.revision = c.revision
	a, err := c.exchange(m, deadline)
	if err == nil {
		o.revision = a.revision
	}
	if class == KeepAlive {
		r.pool.put(c, err != nil || a.close)
	} else {
		_ = c.Close()
	}
	return a, err
}

func dialPrefix(err error) string {
	if failureKind(err) == "no_port" {
		return ""
	}
	return "dial_"
}

func (r *Run) connect(class Class, deadline time.Time) (*conn, error) {
	if class == KeepAlive {
		return r.pool.get(deadline)
	}
	raw, err := r.dialer.dial(deadline)
	if err != nil {
		return nil, err
	}
	return newConn(raw), nil
}

// judge looks into an answer of the right status: the entry asked for, or the entry made.
func (r *Run) judge(op Op, u *account, m message, a answer, o *outcome) {
	switch op {
	case Get:
		if id := m.path[len("/api/v1/entries/"):]; !bytes.Contains(a.body, []byte(id)) {
			o.kind, o.detail = "wrong_body", clip(string(a.body), 300)
		}
	case List:
		// Any page is right: other requests add to it all the time.
	case Create:
		e, err := parseEntry(a.body)
		if err != nil {
			o.kind, o.detail = "wrong_body", err.Error()
			return
		}
		e.user = u
		u.remember(e.ID)
		r.mu.Lock()
		r.created = append(r.created, e)
		r.mu.Unlock()
	}
}

func parseEntry(body []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("reading the entry made: %w", err)
	}
	if e.ID == "" || e.Version < 1 {
		return e, fmt.Errorf("the entry made has no id or version: %s", clip(string(body), 200))
	}
	return e, nil
}

// renew keeps the users' tokens fresh while the run lasts.
func (r *Run) renew(ctx context.Context) {
	c := newCaller(r.cfg)
	defer c.pool.closeAll()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case <-r.done:
			return
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		n := r.accounts.renewExpiring(ctx, c)
		r.mu.Lock()
		r.loginFailures += n
		r.mu.Unlock()
	}
}
