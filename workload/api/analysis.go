package api

import (
	"encoding/json"
	"net/http"
	"time"

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

// insightOutput is what a task found.
type insightOutput struct {
	Kind         englog.Kind     `json:"kind"`
	EntryVersion int32           `json:"entry_version"`
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
