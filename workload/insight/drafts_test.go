package insight_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
	"github.com/garnizeh/englog-operator/workload/insight"
)

// tray is Drafts in memory.
type tray struct {
	mu       sync.Mutex
	asked    map[uuid.UUID]englog.DraftRequest
	claimed  map[uuid.UUID]bool
	answered map[uuid.UUID]englog.DraftAnswer
	claims   int
}

func newTray() *tray {
	return &tray{asked: map[uuid.UUID]englog.DraftRequest{}, claimed: map[uuid.UUID]bool{}, answered: map[uuid.UUID]englog.DraftAnswer{}}
}

func (m *tray) AskForDraft(_ context.Context, r englog.DraftRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[r.ID] = r
	return nil
}

func (m *tray) DraftAnswer(_ context.Context, id uuid.UUID) (englog.DraftAnswer, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, done := m.answered[id]
	return a, done, nil
}

func (m *tray) ForgetDraft(_ context.Context, id uuid.UUID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asked, id)
	return nil
}

func (m *tray) ClaimDrafts(_ context.Context, count int, _ time.Duration) (found []englog.DraftRequest, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims++
	for id, r := range m.asked {
		if !m.claimed[id] && len(found) < count {
			m.claimed[id] = true
			found = append(found, r)
		}
	}
	return found, nil
}

func (m *tray) AnswerDraft(_ context.Context, id uuid.UUID, a englog.DraftAnswer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered[id] = a
	return nil
}

func drafting(t *testing.T, analyst insight.Analyst) (insight.Desk, *tray) {
	t.Helper()
	m := newTray()
	worker := &insight.Drafter{Drafts: m, Analyst: analyst, Patience: time.Second, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { worker.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return insight.Desk{Drafts: m, Patience: 5 * time.Second}, m
}

func TestADraftIsMadeByAWorker(t *testing.T) {
	desk, m := drafting(t, ai.Builtin{})
	draft, provider, err := desk.Generate(context.Background(), englog.DraftRequest{Prompt: "Fixed the login bug today, very happy about it"})
	if err != nil || provider != "builtin" || draft.Mood < 7 || !strings.Contains(draft.Body, "login bug") || draft.Title == "" {
		t.Errorf("draft %+v of %s, error %v", draft, provider, err)
	}
	if len(m.asked) != 0 {
		t.Error("the prompt was kept")
	}
	for _, bad := range []string{"", "  a ", "\n \n\n", strings.Repeat("x", 2001)} {
		if _, _, err := desk.Generate(context.Background(), englog.DraftRequest{Prompt: bad}); englog.CodeOf(err) != englog.CodeInvalid {
			t.Errorf("prompt %.10q: %v", bad, err)
		}
	}
}

// refuses answers every request with one failure.
type refuses struct{ failure englog.Failure }

func (r refuses) Complete(context.Context, ai.Request) (ai.Completion, error) {
	return ai.Completion{}, &r.failure
}

func TestADraftThatNobodyCanMakeSaysWhenToTryAgain(t *testing.T) {
	desk, _ := drafting(t, refuses{englog.Failure{Class: englog.FailureUnavailable, Code: "rate_limited", After: 7 * time.Second, Err: errors.New("x")}})
	_, _, err := desk.Generate(context.Background(), englog.DraftRequest{Prompt: "a day of work"})
	var e *englog.Error
	if !errors.As(err, &e) || e.Code != englog.CodeUnavailable || e.RetryAfter != 7*time.Second {
		t.Errorf("error %#v", err)
	}
	m := newTray() // no worker at all
	desk = insight.Desk{Drafts: m, Patience: 300 * time.Millisecond}
	if _, _, err := desk.Generate(context.Background(), englog.DraftRequest{Prompt: "a day of work"}); englog.CodeOf(err) != englog.CodeUnavailable || len(m.asked) != 0 {
		t.Errorf("without a worker: %v; %d prompts kept", err, len(m.asked))
	}
}

// slow answers once it is told to.
type slow struct{ asked, goOn chan struct{} }

func (s slow) Complete(ctx context.Context, r ai.Request) (ai.Completion, error) {
	close(s.asked)
	select {
	case <-s.goOn:
		return ai.Builtin{}.Complete(ctx, r)
	case <-ctx.Done():
		return ai.Completion{}, ctx.Err()
	}
}

// A worker that drains finishes the draft that it has begun, and begins no other.
func TestADrainFinishesDrafts(t *testing.T) {
	m, model := newTray(), slow{make(chan struct{}), make(chan struct{})}
	worker := &insight.Drafter{Drafts: m, Analyst: model, Patience: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}
	go worker.Run(t.Context())
	type result struct {
		provider string
		err      error
	}
	first := make(chan result, 1)
	go func() {
		_, provider, err := insight.Desk{Drafts: m, Patience: 10 * time.Second}.Generate(context.Background(), englog.DraftRequest{Prompt: "a day of work"})
		first <- result{provider, err}
	}()
	<-model.asked
	drained := make(chan struct{})
	go func() { worker.Drain(context.Background()); close(drained) }()
	if _, _, err := (insight.Desk{Drafts: m, Patience: 1200 * time.Millisecond}).Generate(context.Background(), englog.DraftRequest{Prompt: "another day"}); englog.CodeOf(err) != englog.CodeUnavailable {
		t.Errorf("a draining worker took a request: %v", err)
	}
	close(model.goOn)
	if r := <-first; r.err != nil || r.provider != "builtin" {
		t.Errorf("the draft under way: %+v", r)
	}
	<-drained
}
