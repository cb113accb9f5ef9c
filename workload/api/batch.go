package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
)

// maxBatch is how many entries one request may create or delete.
const maxBatch = 100

func (s *Server) createEntries(c *call) error {
	raw, err := c.read()
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(raw)
	if err != nil {
		return err
	}
	var in struct {
		Items []entryInput `json:"items"`
	}
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	if len(in.Items) == 0 || len(in.Items) > maxBatch {
		return englog.Invalid("items", "must have 1 to 100 items")
	}
	entries, tasks := make([]englog.Entry, len(in.Items)), make([]englog.NewTasks, len(in.Items))
	for i, item := range in.Items {
		if entries[i], err = s.newEntry(c, item); err != nil {
			return inItem(err, i)
		}
		tasks[i] = s.tasksFor(c, entries[i].ID, 1)
	}
	body := appendEntries(nil, entries)
	refs, err := s.Entries.CreateEntries(c.ctx, entries, tasks, englog.Once{Key: key, Saved: englog.Saved{Status: http.StatusCreated, Body: body}})
	if errors.Is(err, englog.ErrKeyUsed) {
		return s.replay(c, key)
	}
	if err != nil {
		return err
	}
	s.Kicker.Kick(refs)
	return c.send(http.StatusCreated, body)
}

func appendEntries(b []byte, entries []englog.Entry) []byte {
	b = append(b, `{"items":[`...)
	for i := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEntry(b, &entries[i])
	}
	return append(b, ']', '}')
}

// inItem says which item of a batch an error is about.
func inItem(err error, i int) error {
	e := *toError(err)
	fields := make([]englog.FieldError, len(e.Fields))
	for n, f := range e.Fields {
		fields[n] = englog.FieldError{Field: fmt.Sprintf("items[%d].%s", i, f.Field), Message: f.Message}
	}
	e.Fields = fields
	return &e
}

func (s *Server) deleteEntries(c *call) error {
	var in struct {
		IDs []uuid.UUID `json:"ids"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in.IDs) == 0 || len(in.IDs) > maxBatch {
		return englog.Invalid("ids", "must have 1 to 100 items")
	}
	gone, err := s.Entries.DeleteEntries(c.ctx, c.actor.UserID, in.IDs)
	if err != nil {
		return err
	}
	if gone == nil {
		gone = []englog.EntryID{}
	}
	return c.json(http.StatusOK, map[string]any{"deleted": gone})
}
