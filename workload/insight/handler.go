package insight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/ai"
)

// Subjects reads what tasks are about. Package store's Tasks is one.
type Subjects interface {
	// Subject reports false when the task is no longer wanted.
	Subject(ctx context.Context, c englog.Claimed) (englog.Subject, bool, error)
}

// Analyst answers requests on behalf of a user. Package ai's Router is one.
type Analyst interface {
	Complete(ctx context.Context, r ai.Request) (ai.Completion, error)
}

// Handler runs the tasks of one kind.
type Handler struct {
	kind     englog.Kind
	subjects Subjects
	analyst  Analyst
}

// Handlers returns a handler for each of the kinds.
func Handlers(subjects Subjects, analyst Analyst, kinds []englog.Kind) ([]*Handler, error) {
	handlers := make([]*Handler, 0, len(kinds))
	for _, k := range kinds {
		if _, ok := tasks[k]; !ok {
			return nil, fmt.Errorf("there is no handler for tasks of kind %q", k)
		}
		handlers = append(handlers, &Handler{k, subjects, analyst})
	}
	return handlers, nil
}

// Kind returns the kind of the tasks.
func (h *Handler) Kind() englog.Kind { return h.kind }

// Handle reads the entry as it is now, asks, and returns the insight. A task whose entry has moved on, or whose kind the user
// switched off since, is cancelled before anything is sent anywhere.
func (h *Handler) Handle(ctx context.Context, c englog.Claimed) (*englog.Insight, error) {
	subject, wanted, err := h.subjects.Subject(ctx, c)
	if err != nil {
		return nil, englog.Fail(englog.FailureRetryable, "database", err)
	}
	if !wanted {
		return nil, englog.Fail(englog.FailureCancelled, "not_wanted", errors.New("the entry has a newer version or is gone, or the feature is off"))
	}
	answer, err := h.analyst.Complete(ctx, request(h.kind, subject, "", c.ID.String()))
	if err != nil {
		return nil, err
	}
	data, err := h.complete(answer.Data, subject)
	if err != nil {
		return nil, englog.Fail(englog.FailurePermanent, "bad_output", err)
	}
	return &englog.Insight{UserID: c.UserID, EntryID: c.EntryID, EntryVersion: c.EntryVersion, Period: c.Period, Kind: c.Kind,
		Data: data, Provider: answer.Provider, Model: answer.Model, Confidence: answer.Confidence, Tokens: answer.Tokens}, nil
}

func request(kind englog.Kind, subject englog.Subject, prompt, id string) ai.Request {
	t := tasks[kind]
	shape, _ := json.Marshal(t.schema) // maps of strings and numbers always marshal
	return ai.Request{Kind: kind, Instruction: t.instruction, Subject: subject, Prompt: prompt, RequestID: id,
		Schema: ai.Schema{Name: string(kind), JSON: shape, Check: func(raw json.RawMessage) (json.RawMessage, error) {
			v, err := t.check(raw)
			if err != nil {
				return nil, err
			}
			return json.Marshal(v)
		}}}
}

// complete adds what we know better than any model.
func (h *Handler) complete(data json.RawMessage, s englog.Subject) (json.RawMessage, error) {
	switch h.kind {
	case englog.KindContentExtraction:
		return patch(data, func(e *Extraction) {
			e.WordCount, e.ReadingTimeMinutes = englog.WordCount(s.Body), int(englog.ReadingMinutes(s.Body))
			e.Links = only(e.Links, func(link string) bool { return strings.Contains(s.Body, link) })
		})
	case englog.KindTagSuggestions:
		return patch(data, func(t *TagSuggestions) {
			t.Tags = only(t.Tags, func(tag string) bool { return !contains(s.Tags, tag) })
		})
	case englog.KindWeeklyInsight:
		return patch(data, func(w *Week) { w.count(s.Week) })
	default:
		return data, nil
	}
}

func patch[T any](data json.RawMessage, change func(*T)) (json.RawMessage, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	change(&v)
	return json.Marshal(v)
}

func only(given []string, keep func(string) bool) []string {
	kept := []string{}
	for _, s := range given {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

func (w *Week) count(entries []englog.SubjectEntry) {
	w.Entries = len(entries)
	sum, moods := 0.0, 0
	for _, e := range entries {
		w.Minutes += int(e.Duration.Minutes())
		if e.Mood > 0 {
			sum, moods = sum+float64(e.Mood), moods+1
		}
	}
	if moods > 0 {
		mean := sum / float64(moods)
		w.MoodAverage = &mean
	}
}
