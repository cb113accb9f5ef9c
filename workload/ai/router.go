package ai

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Budget remembers what users asked of paid providers today, and what was asked of each provider that has a limit. Package
// store's Tasks is one.
type Budget interface {
	AIUsage(ctx context.Context, user uuid.UUID) (englog.AIUsage, error)
	AddAIUsage(ctx context.Context, user uuid.UUID, u englog.AIUsage) error
	ProviderUsage(ctx context.Context, provider string) (englog.AIUsage, error)
	AddProviderUsage(ctx context.Context, provider string, u englog.AIUsage) error
}

// Limit is what all users together may ask of one provider on one UTC day; 0: as much as they like.
type Limit struct{ Requests, Tokens int64 }

func (l Limit) none() bool { return l.Requests == 0 && l.Tokens == 0 }

func (l Limit) reached(u englog.AIUsage) bool {
	return l.Requests > 0 && int64(u.Requests) >= l.Requests || l.Tokens > 0 && u.Tokens >= l.Tokens
}

// RouterOptions of a Router. Only Models is required.
type RouterOptions struct {
	Models []Model // in the order of preference
	Budget Budget  // nil: no limit
	// DailyRequests is how many requests to paid providers a user's tasks may make on one UTC day; 0: none at all.
	DailyRequests int
	// Limits holds those of the providers that have one, by name. They hold for free providers too.
	Limits     map[string]Limit
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
	// Recovery is for how long a provider that failed five times in a row is left alone; 0: 30 s.
	Recovery time.Duration
}

// Router asks providers in order until one answers. A provider that keeps failing is left alone for a while (a circuit breaker),
// one that asks for a pause gets it. When nobody can be asked the failure is FailureUnavailable: nothing was tried, and the
// task should wait at no cost.
type Router struct {
	o         RouterOptions
	providers []*provider
	requests  *prometheus.CounterVec
	tokens    *prometheus.CounterVec
}

type provider struct {
	Model
	breaker *gobreaker.CircuitBreaker[Completion]
	paused  atomic.Int64 // Unix milliseconds before which it must not be asked
}

const tripAfter = 5 // failures in a row (the reference's figure)

// NewRouter returns a router over the models.
func NewRouter(o RouterOptions) (*Router, error) {
	if len(o.Models) == 0 {
		return nil, errors.New("no AI provider is configured")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Recovery == 0 {
		o.Recovery = 30 * time.Second
	}
	r := &Router{o: o,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "englog_ai_requests_total", Help: "Requests to AI providers by outcome: ok, or the code of the failure."}, []string{"provider", "outcome"}),
		tokens:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "englog_ai_tokens_total", Help: "Tokens that AI providers counted."}, []string{"provider"})}
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{r.requests, r.tokens} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("registering the metrics of AI: %w", err)
			}
		}
	}
	for _, m := range o.Models {
		r.providers = append(r.providers, &provider{Model: m, breaker: r.breaker(m.Name())})
	}
	return r, nil
}

func (r *Router) breaker(name string) *gobreaker.CircuitBreaker[Completion] {
	return gobreaker.NewCircuitBreaker[Completion](gobreaker.Settings{Name: name, MaxRequests: 1, Timeout: r.o.Recovery,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || classOf(err) == englog.FailurePermanent },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) || codeOf(err) == "rate_limited" },
		OnStateChange: func(name string, from, to gobreaker.State) {
			r.o.Log.Warn("an AI provider changed state", "provider", name, "from", from.String(), "to", to.String())
		}})
}

func classOf(err error) englog.FailureClass {
	var f *englog.Failure
	if errors.As(err, &f) {
		return f.Class
	}
	return englog.FailureRetryable
}

func codeOf(err error) string {
	var f *englog.Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return "failed"
}

// tally is what became of asking one provider after the other.
type tally struct {
	refused, tried error         // a permanent failure; one that cost the provider's time
	away           error         // why nobody could be asked
	soonest        time.Duration // when the first of those may be asked
}

func (t *tally) skip(code string, wait time.Duration, text string) {
	if t.away == nil || (wait > 0 && wait < t.soonest) {
		t.away, t.soonest = &englog.Failure{Class: englog.FailureUnavailable, Code: code, Err: errors.New(text)}, wait
	}
}

func (t *tally) failure() error {
	switch {
	case t.tried != nil:
		return t.tried
	case t.refused != nil && t.away != nil:
		return englog.Fail(englog.FailureRetryable, codeOf(t.refused), t.refused)
	case t.refused != nil:
		return t.refused
	default:
		var f *englog.Failure
		errors.As(t.away, &f)
		return &englog.Failure{Class: f.Class, Code: f.Code, After: t.soonest, Err: f.Err}
	}
}

// Complete asks the providers in order.
func (r *Router) Complete(ctx context.Context, q Request) (Completion, error) {
	var t tally
	for _, p := range r.providers {
		if r.skips(ctx, p, q, &t) {
			continue
		}
		probing := p.breaker.State() == gobreaker.StateHalfOpen
		answer, err := p.breaker.Execute(func() (Completion, error) { return p.Complete(ctx, q) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			t.skip("providers_away", r.o.Recovery, p.Name()+" keeps failing and is left alone for a while")
			continue
		}
		r.account(ctx, p, q, answer, err)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return Completion{}, err
		}
		r.note(p, err, probing, &t)
	}
	return Completion{}, t.failure()
}

// skips says whether a provider must not be asked now.
func (r *Router) skips(ctx context.Context, p *provider, q Request, t *tally) bool {
	now := r.o.Now()
	if wait := time.UnixMilli(p.paused.Load()).Sub(now); wait > 0 {
		t.skip("rate_limited", wait, p.Name()+" asked for a pause")
		return true
	}
	if r.o.Budget == nil {
		return false
	}
	code, text, err := r.overBudget(ctx, p, q.Subject.UserID)
	switch {
	case err != nil:
		// As when the entry cannot be read: the database is away, and that run is over.
		t.tried = englog.Fail(englog.FailureRetryable, "database", errors.New("the budget could not be read"))
	case code != "":
		midnight := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		t.skip(code, midnight.Sub(now), text)
	}
	return err != nil || code != ""
}

// overBudget says what is used up for today: the user's own budget, or the provider's.
func (r *Router) overBudget(ctx context.Context, p *provider, user uuid.UUID) (code, text string, err error) {
	if p.Paid() {
		used, err := r.o.Budget.AIUsage(ctx, user)
		if err != nil || int(used.Requests) >= r.o.DailyRequests {
			return "budget_exhausted", "today's budget is used up", err
		}
	}
	if limit := r.o.Limits[p.Name()]; !limit.none() {
		used, err := r.o.Budget.ProviderUsage(ctx, p.Name())
		if err != nil || limit.reached(used) {
			return "provider_budget_exhausted", "today's budget of " + p.Name() + " is used up", err
		}
	}
	return "", "", nil
}

func (r *Router) account(ctx context.Context, p *provider, q Request, used Completion, err error) {
	outcome := "ok"
	if err != nil {
		outcome = codeOf(err)
	}
	r.requests.WithLabelValues(p.Name(), outcome).Inc()
	r.tokens.WithLabelValues(p.Name()).Add(float64(used.Tokens))
	if r.o.Budget == nil || used.Requests == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	usage := englog.AIUsage{Requests: used.Requests, Tokens: int64(used.Tokens)}
	var failed [2]error
	if p.Paid() {
		failed[0] = r.o.Budget.AddAIUsage(ctx, q.Subject.UserID, usage)
	}
	if !r.o.Limits[p.Name()].none() {
		failed[1] = r.o.Budget.AddProviderUsage(ctx, p.Name(), usage)
	}
	if err := errors.Join(failed[:]...); err != nil {
		r.o.Log.Warn("use of AI was not recorded", "provider", p.Name(), "error", err)
	}
}

// note remembers a failure. The one request by which a broken provider is tried again must not cost its task an attempt.
func (r *Router) note(p *provider, err error, probing bool, t *tally) {
	var f *englog.Failure
	errors.As(err, &f)
	switch {
	case classOf(err) == englog.FailurePermanent:
		t.refused = err
	case classOf(err) == englog.FailureUnavailable && f.Code == "rate_limited":
		wait := max(f.After, time.Second)
		p.paused.Store(r.o.Now().Add(wait).UnixMilli())
		t.skip(f.Code, wait, f.Err.Error())
	case classOf(err) == englog.FailureUnavailable, probing:
		t.skip(codeOf(err), r.o.Recovery, err.Error())
	default:
		t.tried = err
	}
}

// Report tells for each provider whether it can be reached now: "ok", or what is wrong. It makes no paid request.
func (r *Router) Report(ctx context.Context) map[string]string {
	out := map[string]string{}
	for _, p := range r.providers {
		out[p.Name()] = "ok"
		if probe, ok := p.Model.(interface{ Probe(context.Context) error }); ok {
			if err := probe.Probe(ctx); err != nil {
				out[p.Name()] = err.Error()
			}
		}
	}
	return out
}
