package ai_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/ai/fake"
)

// purse is a budget in memory.
type purse struct {
	used      englog.AIUsage
	providers map[string]englog.AIUsage
}

func (p *purse) ProviderUsage(_ context.Context, provider string) (englog.AIUsage, error) {
	return p.providers[provider], nil
}

func (p *purse) AddProviderUsage(_ context.Context, provider string, u englog.AIUsage) error {
	if p.providers == nil {
		p.providers = map[string]englog.AIUsage{}
	}
	was := p.providers[provider]
	p.providers[provider] = englog.AIUsage{Requests: was.Requests + u.Requests, Tokens: was.Tokens + u.Tokens}
	return nil
}

func (p *purse) AIUsage(context.Context, uuid.UUID) (englog.AIUsage, error) { return p.used, nil }

func (p *purse) AddAIUsage(_ context.Context, _ uuid.UUID, u englog.AIUsage) error {
	p.used.Requests, p.used.Tokens = p.used.Requests+u.Requests, p.used.Tokens+u.Tokens
	return nil
}

func router(t *testing.T, o ai.RouterOptions) *ai.Router {
	t.Helper()
	r, err := ai.NewRouter(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func failure(t *testing.T, err error) *englog.Failure {
	t.Helper()
	var f *englog.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v is not a failure", err)
	}
	return f
}

func TestTheNextProviderAnswersWhenOneFails(t *testing.T) {
	for _, mode := range []fake.Mode{fake.Broken, fake.RateLimited, fake.Silent, fake.Truncated, fake.WrongSchema, fake.Unauthorized} {
		t.Run(string(mode), func(t *testing.T) {
			first, a := serve(t, nil)
			_, b := serve(t, func(o *ai.OpenAIOptions) { o.Name = "ollama" })
			first.Set(mode)
			answer, err := router(t, ai.RouterOptions{Models: []ai.Model{a, b}}).Complete(context.Background(), ask())
			if err != nil || answer.Provider != "ollama" {
				t.Errorf("answer of %q, error %v", answer.Provider, err)
			}
		})
	}
}

func TestAnOutageOpensTheBreakerAndThenCostsNothing(t *testing.T) {
	provider, model := serve(t, nil)
	provider.Set(fake.Broken)
	r := router(t, ai.RouterOptions{Models: []ai.Model{model}, Recovery: 200 * time.Millisecond})
	for range 5 {
		if _, err := r.Complete(context.Background(), ask()); failure(t, err).Class != englog.FailureRetryable {
			t.Fatal(err)
		}
	}
	for range 20 {
		_, err := r.Complete(context.Background(), ask())
		if f := failure(t, err); f.Class != englog.FailureUnavailable || f.After <= 0 {
			t.Fatalf("failure %+v", f)
		}
	}
	if n := provider.Counts().Requests; n != 5 {
		t.Errorf("%d requests went to a broken provider", n)
	}
	time.Sleep(250 * time.Millisecond) // the breaker's own clock
	if _, err := r.Complete(context.Background(), ask()); failure(t, err).Class != englog.FailureUnavailable {
		t.Error("the request by which a provider is tried again cost an attempt")
	}
	provider.Set(fake.OK)
	time.Sleep(250 * time.Millisecond)
	if _, err := r.Complete(context.Background(), ask()); err != nil {
		t.Errorf("after the recovery: %v", err)
	}
}

func TestRetryAfterIsObeyedWithoutAsking(t *testing.T) {
	provider, model := serve(t, nil)
	provider.Set(fake.RateLimited)
	provider.RetryAfter(60)
	r := router(t, ai.RouterOptions{Models: []ai.Model{model}})
	for range 3 {
		_, err := r.Complete(context.Background(), ask())
		if f := failure(t, err); f.Class != englog.FailureUnavailable || f.After < 59*time.Second || f.After > time.Minute {
			t.Errorf("failure %+v", f)
		}
	}
	if n := provider.Counts().Requests; n != 1 {
		t.Errorf("%d requests within the pause", n)
	}
}

func TestTheBudgetBoundsPaidRequestsOnly(t *testing.T) {
	provider, model := serve(t, nil)
	budget := &purse{}
	r := router(t, ai.RouterOptions{Models: []ai.Model{model}, Budget: budget, DailyRequests: 2,
		Now: func() time.Time { return time.Date(2026, 5, 1, 23, 0, 0, 0, time.UTC) }})
	for range 2 {
		if _, err := r.Complete(context.Background(), ask()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Complete(context.Background(), ask())
	if f := failure(t, err); f.Code != "budget_exhausted" || f.Class != englog.FailureUnavailable || f.After != time.Hour {
		t.Errorf("failure %+v", f)
	}
	if n := provider.Counts().Requests; n != 2 || budget.used.Tokens != 200 {
		t.Errorf("%d requests, %d tokens", n, budget.used.Tokens)
	}
	_, free := serve(t, func(o *ai.OpenAIOptions) { o.Free = true; o.Name = "ollama" })
	r = router(t, ai.RouterOptions{Models: []ai.Model{model, free}, Budget: budget, DailyRequests: 2})
	if answer, err := r.Complete(context.Background(), ask()); err != nil || answer.Provider != "ollama" {
		t.Errorf("answer of %q, error %v", answer.Provider, err)
	}
}

func TestACancelledRequestBlamesNoProvider(t *testing.T) {
	provider, model := serve(t, func(o *ai.OpenAIOptions) { o.Timeout = time.Minute })
	provider.Delay(time.Minute)
	r := router(t, ai.RouterOptions{Models: []ai.Model{model}})
	for range 6 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, _ = r.Complete(ctx, ask())
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		_, _ = r.Complete(ctx, ask())
	}
	provider.Delay(0)
	if _, err := r.Complete(context.Background(), ask()); err != nil && failure(t, err).Code != "providers_away" {
		t.Error(err)
	}
}
