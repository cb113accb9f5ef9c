package insight

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
)

// Drafts carries requests for drafts from the API to a worker: only workers hold the keys of providers, and only they may reach
// them. Package store's Tasks is one.
type Drafts interface {
	AskForDraft(ctx context.Context, r englog.DraftRequest) error
	DraftAnswer(ctx context.Context, id uuid.UUID) (englog.DraftAnswer, bool, error)
	ForgetDraft(ctx context.Context, id uuid.UUID) error
	ClaimDrafts(ctx context.Context, count int, lease time.Duration) ([]englog.DraftRequest, error)
	AnswerDraft(ctx context.Context, id uuid.UUID, a englog.DraftAnswer) error
}

// Desk is the API's side: it asks for a draft and waits.
type Desk struct {
	Drafts Drafts
	// Patience is how long it waits for a worker.
	Patience time.Duration
}

const (
	lookEvery  = 100 * time.Millisecond // the API looks for its answer
	claimEvery = 500 * time.Millisecond // a worker looks for requests
	atOnce     = 4                      // requests that one worker answers at the same time
)

// Generate drafts an entry from a prompt, in the user's name and budget. Whether the user allows AI at all is for the caller to ask
// (Preferences.AIEnabled). Errors are safe to show: invalid for a bad prompt, unavailable otherwise.
func (d Desk) Generate(ctx context.Context, r englog.DraftRequest) (Draft, string, error) {
	if err := checkPrompt(r.Prompt, r.Background); err != nil {
		return Draft{}, "", err
	}
	r.ID = uuid.Must(uuid.NewV7())
	if err := d.Drafts.AskForDraft(ctx, r); err != nil {
		return Draft{}, "", err
	}
	defer d.forget(ctx, r.ID)
	ctx, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Draft{}, "", unavailable(ctx.Err())
		case <-tick.C:
		}
		answer, done, err := d.Drafts.DraftAnswer(ctx, r.ID)
		if err != nil {
			return Draft{}, "", unavailable(err)
		}
		if done {
			return read(answer)
		}
	}
}

// forget removes the prompt whatever became of it; the hourly purge takes what this leaves.
func (d Desk) forget(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = d.Drafts.ForgetDraft(ctx, id)
}

func checkPrompt(prompt, background string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(prompt)); n < 3 || n > 2000 {
		return englog.Invalid("prompt", "must have 3 to 2000 characters")
	}
	if utf8.RuneCountInString(background) > 5000 {
		return englog.Invalid("context", "must have at most 5000 characters")
	}
	return nil
}

func read(a englog.DraftAnswer) (Draft, string, error) {
	if a.Data == nil {
		return Draft{}, "", unavailable(&englog.Failure{Code: a.ErrorCode, After: a.RetryAfter})
	}
	var d Draft
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return Draft{}, "", unavailable(err)
	}
	return d, a.Provider, nil
}

func unavailable(err error) error {
	out := englog.Unavailable("No AI provider could answer now. Try again later.", err)
	var failure *englog.Failure
	if errors.As(err, &failure) && failure.After > 0 {
		out.RetryAfter = failure.After
	}
	return out
}

// Drafter is a worker's side: it answers requests for drafts.
type Drafter struct {
	Drafts  Drafts
	Analyst Analyst
	// Patience bounds one answer; after that another worker may try.
	Patience time.Duration
	Log      *slog.Logger
	// Around continues the trace of a request; nil: there is none.
	Around func(ctx context.Context, r englog.DraftRequest) (context.Context, func(error))

	once           sync.Once
	stopping, over chan struct{}
}

func (d *Drafter) prepare() {
	d.once.Do(func() { d.stopping, d.over = make(chan struct{}), make(chan struct{}) })
}

// Run answers requests until it is drained; when the context ends, what is under way is given up.
func (d *Drafter) Run(ctx context.Context) {
	d.prepare()
	defer close(d.over)
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, atOnce)
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.stopping:
			return
		case <-tick.C:
		}
		room := atOnce - len(free)
		if room == 0 {
			continue
		}
		found, err := d.Drafts.ClaimDrafts(ctx, room, d.Patience)
		if err != nil && ctx.Err() == nil {
			d.Log.Warn("no requests for drafts could be claimed", "error", err)
		}
		for _, r := range found {
			free <- struct{}{}
			running.Go(func() {
				d.answer(ctx, r)
				<-free
			})
		}
	}
}

// Drain takes no more requests and waits for those under way, at most until the context ends. Call it once, on a Drafter that runs.
func (d *Drafter) Drain(ctx context.Context) {
	d.prepare()
	close(d.stopping)
	select {
	case <-d.over:
	case <-ctx.Done():
	}
}

func (d *Drafter) answer(ctx context.Context, r englog.DraftRequest) {
	ctx, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	end := func(error) {}
	if d.Around != nil {
		ctx, end = d.Around(ctx, r)
	}
	subject := englog.Subject{UserID: r.UserID, Body: r.Background}
	found, err := d.Analyst.Complete(ctx, request(ai.KindDraft, subject, r.Prompt, r.ID.String()))
	end(err)
	answer := englog.DraftAnswer{Data: found.Data, Provider: found.Provider}
	if err != nil {
		answer = refusal(err)
		d.Log.InfoContext(ctx, "a draft could not be made", "request_id", r.RequestID, "code", answer.ErrorCode)
	}
	ctx, cancelAnswer := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancelAnswer()
	if err := d.Drafts.AnswerDraft(ctx, r.ID, answer); err != nil {
		d.Log.WarnContext(ctx, "a draft was lost", "request_id", r.RequestID, "error", err)
	}
}

func refusal(err error) englog.DraftAnswer {
	var failure *englog.Failure
	if errors.As(err, &failure) {
		return englog.DraftAnswer{ErrorCode: failure.Code, RetryAfter: failure.After}
	}
	return englog.DraftAnswer{ErrorCode: "failed"}
}
