package api

import (
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// taskOutput is a task as its user sees it.
type taskOutput struct {
	ID           uuid.UUID        `json:"id"`
	EntryID      *uuid.UUID       `json:"entry_id,omitempty"`
	EntryVersion int32            `json:"entry_version"`
	Kind         englog.Kind      `json:"kind"`
	State        englog.TaskState `json:"state"`
	Attempt      int16            `json:"attempt"`
	MaxAttempts  int16            `json:"max_attempts"`
	ErrorCode    string           `json:"error_code,omitempty"`
	Error        string           `json:"error,omitempty"`
	RunAt        time.Time        `json:"run_at"`
	CreatedAt    time.Time        `json:"created_at"`
	FinishedAt   *time.Time       `json:"finished_at,omitempty"`
}

func showTask(t englog.Task) taskOutput {
	out := taskOutput{ID: t.ID, EntryVersion: t.EntryVersion, Kind: t.Kind, State: t.State, Attempt: t.Attempt, MaxAttempts: t.MaxAttempts,
		ErrorCode: t.LastErrorCode, Error: t.LastError, RunAt: t.RunAt.UTC(), CreatedAt: t.CreatedAt.UTC()}
	if t.EntryID != uuid.Nil {
		out.EntryID = &t.EntryID
	}
	if !t.FinishedAt.IsZero() && t.FinishedAt.Unix() > 0 {
		at := t.FinishedAt.UTC()
		out.FinishedAt = &at
	}
	return out
}

// insightOutput is what a task found: about an entry, or about the week that
// begins on the day of its period.
type insightOutput struct {
	Kind         englog.Kind     `json:"kind"`
	EntryID      *uuid.UUID      `json:"entry_id,omitempty"`
	EntryVersion int32           `json:"entry_version"`
	Period       *englog.Date    `json:"period,omitempty"`
	Data         json.RawMessage `json:"data"`
	Provider     string          `json:"provider"`
	Model        string          `json:"model"`
	Confidence   *float32        `json:"confidence,omitempty"`
	CreatedAt    time.Time       `json:"created_at"`
}

func showInsight(i englog.Insight) insightOutput {
	out := insightOutput{Kind: i.Kind, EntryVersion: i.EntryVersion, Data: i.Data, Provider: i.Provider, Model: i.Model, CreatedAt: i.CreatedAt.UTC()}
	if i.Confidence > 0 {
		out.Confidence = &i.Confidence
	}
	if i.EntryID != uuid.Nil {
		out.EntryID = &i.EntryID
	} else {
		out.Period = &englog.Date{Time: i.Period}
	}
	return out
}

// items is the body of every list.
type items[T any] struct {
	Items []T `json:"items"`
}

func showAll[In, Out any](list []In, show func(In) Out) items[Out] {
	out := items[Out]{Items: make([]Out, 0, len(list))}
	for _, v := range list {
		out.Items = append(out.Items, show(v))
	}
	return out
}

// ownEntry reads the id of the path and makes sure that the entry is the
// caller's.
func (s *Server) ownEntry(c *call) (englog.EntryID, error) {
	id, err := c.pathID("id", "entry")
	if err != nil {
		return id, err
	}
	_, err = s.Entries.Entry(c.ctx, c.actor.UserID, id)
	return id, err
}

func (s *Server) entryTasks(c *call) error {
	id, err := s.ownEntry(c)
	if err != nil {
		return err
	}
	list, err := s.Analysis.OfEntry(c.ctx, c.actor.UserID, id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, showTask))
}

func (s *Server) entryInsights(c *call) error {
	id, err := s.ownEntry(c)
	if err != nil {
		return err
	}
	list, err := s.Analysis.InsightsOfEntry(c.ctx, c.actor.UserID, id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, showInsight))
}

// rerunEntry analyses the present version of an entry again; all kinds unless
// the body names some.
func (s *Server) rerunEntry(c *call) error {
	id, err := s.ownEntry(c)
	if err != nil {
		return err
	}
	var in struct {
		Kinds []string `json:"kinds"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	kinds := s.Kinds
	if len(in.Kinds) > 0 {
		kinds = nil
	}
	for i, name := range in.Kinds {
		kind, err := englog.ParseKind(name)
		if err != nil || kind == englog.KindWeeklyInsight || i >= len(englog.TaskKinds()) {
			return englog.Invalid("kinds", "must list task kinds of entries, each once")
		}
		kinds = append(kinds, kind)
	}
	refs, err := s.Analysis.Rerun(c.ctx, c.actor.UserID, id, kinds, c.requestID)
	if err != nil {
		return err
	}
	s.Kicker.Kick(refs)
	return c.json(http.StatusAccepted, map[string]int{"tasks": len(refs)})
}

// failedTasks lists what was given up, with its cause.
func (s *Server) failedTasks(c *call) error {
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	limit := q.int("limit", englog.DefaultPageSize, 1, englog.MaxPageSize)
	if err := q.done(); err != nil {
		return err
	}
	list, err := s.Analysis.Failed(c.ctx, c.actor.UserID, limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, showTask))
}

func (s *Server) retryTask(c *call) error {
	id, err := c.pathID("id", "task")
	if err != nil {
		return err
	}
	refs, err := s.Analysis.RerunTask(c.ctx, c.actor.UserID, id)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		return englog.NotFound("task that could be run again")
	}
	s.Kicker.Kick(refs)
	return c.json(http.StatusAccepted, map[string]int{"tasks": len(refs)})
}

// listInsights lists what was found of one kind, the latest first.
func (s *Server) listInsights(c *call) error {
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	name, since := q.get("kind"), q.time("since")
	limit := q.int("limit", englog.DefaultPageSize, 1, englog.MaxPageSize)
	if name == "" {
		name = string(englog.KindWeeklyInsight)
	}
	kind, err := englog.ParseKind(name)
	if err != nil {
		q.bad = append(q.bad, englog.FieldError{Field: "kind", Message: "must be a kind of task"})
	}
	if err := q.done(); err != nil {
		return err
	}
	list, err := s.Analysis.InsightsOfUser(c.ctx, c.actor.UserID, kind, since, limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, showInsight))
}

func (s *Server) generateBudget() time.Duration { return s.GenerateTimeout }

// generate drafts an entry from a prompt; nothing is stored.
func (s *Server) generate(c *call) error {
	if !s.Features.AdvancedAI || s.Generator == nil {
		return englog.Errorf(englog.CodeNotFound, "There is no such address.")
	}
	var in struct {
		Prompt  string `json:"prompt"`
		Context string `json:"context"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(in.Prompt); n < 3 || n > 2000 {
		return englog.Invalid("prompt", "must have 3 to 2000 characters")
	}
	if utf8.RuneCountInString(in.Context) > 5000 {
		return englog.Invalid("context", "must have at most 5000 characters")
	}
	draft, err := s.Generator.Generate(c.ctx, c.actor.UserID, in.Prompt, in.Context)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, draft)
}
