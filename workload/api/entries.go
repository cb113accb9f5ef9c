package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	englog "github.com/garnizeh/englog-operator/workload"
	"github.com/garnizeh/englog-operator/workload/obs"
)

// buffers are reused for answers.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// sendBuilt answers with what build appends to a reused buffer.
func (c *call) sendBuilt(status int, build func([]byte) []byte) error {
	p := buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool makes nothing else
	*p = build((*p)[:0])
	err := c.send(status, *p)
	if cap(*p) <= 256<<10 {
		buffers.Put(p)
	}
	return err
}

// tasksFor describes the tasks of a new entry version.
func (s *Server) tasksFor(c *call, id englog.EntryID, version int32) englog.NewTasks {
	return englog.NewTasks{UserID: c.actor.UserID, EntryID: id, EntryVersion: version, Kinds: s.Kinds,
		Queued: s.Kicker.Accepts(s.Kinds), RequestID: c.requestID, TraceParent: obs.TraceParent(c.ctx)}
}

// tasksOfEdit wait a little: the next save may follow at once, and cancels them.
func (s *Server) tasksOfEdit(c *call, id englog.EntryID, version int32) englog.NewTasks {
	if s.EditDebounce == 0 {
		return s.tasksFor(c, id, version)
	}
	return englog.NewTasks{UserID: c.actor.UserID, EntryID: id, EntryVersion: version, Kinds: s.Kinds, Debounce: s.EditDebounce,
		RequestID: c.requestID, TraceParent: obs.TraceParent(c.ctx)}
}

func (s *Server) newEntry(c *call, in entryInput) (englog.Entry, error) {
	now := s.Clock.Now()
	e := englog.Entry{UserID: c.actor.UserID, Version: 1, EntryContent: in.content(), Source: c.actor.Source, CreatedAt: now, UpdatedAt: now}
	if err := e.Check(s.MaxContentSize, now); err != nil {
		return e, err
	}
	e.ID = uuid.Must(uuid.NewV7())
	return e, nil
}

func (s *Server) createEntry(c *call) error {
	raw, err := c.read()
	if err != nil {
		return err
	}
	key, err := c.idempotencyKey(raw)
	if err != nil {
		return err
	}
	var in entryInput
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	e, err := s.newEntry(c, in)
	if err != nil {
		return err
	}
	body := appendEntry(nil, &e)
	refs, err := s.Entries.CreateEntry(c.ctx, e, s.tasksFor(c, e.ID, e.Version), key,
		englog.Saved{Status: http.StatusCreated, ETag: etag(e.Version), Body: body})
	if errors.Is(err, englog.ErrKeyUsed) {
		return s.replay(c, key)
	}
	if err != nil {
		return err
	}
	s.Kicker.Kick(refs)
	c.w.Header()["Etag"] = []string{etag(e.Version)}
	c.w.Header()["Location"] = []string{Prefix + "/entries/" + e.ID.String()}
	return c.send(http.StatusCreated, body)
}

func (s *Server) readEntry(c *call) error {
	id, err := c.pathID("id", "entry")
	if err != nil {
		return err
	}
	e, err := s.Entries.Entry(c.ctx, c.actor.UserID, id)
	if err != nil {
		return err
	}
	tag := etag(e.Version)
	c.w.Header()["Etag"] = []string{tag}
	if c.r.Header.Get("If-None-Match") == tag {
		c.status = http.StatusNotModified
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.sendBuilt(http.StatusOK, func(b []byte) []byte { return appendEntry(b, &e) })
}

// ifMatch reads the version that an edit is based on; bits are those of versions of its kind.
func (c *call) ifMatch(bits int) (int64, error) {
	raw := c.r.Header.Get("If-Match")
	if raw == "" {
		return 0, &statusError{http.StatusPreconditionRequired,
			englog.Invalid("If-Match", "is required: send the ETag of the version that the edit is based on")}
	}
	return parseETag(raw, bits)
}

// entryVersion reads the version of an entry that an edit is based on.
func (c *call) entryVersion() (int32, error) {
	version, err := c.ifMatch(32)
	return int32(version), err //nolint:gosec // of 32 bits
}

func (s *Server) updateEntry(c *call) error {
	id, err := c.pathID("id", "entry")
	if err != nil {
		return err
	}
	version, err := c.entryVersion()
	if err != nil {
		return err
	}
	var in entryInput
	if err := c.decode(&in); err != nil {
		return err
	}
	old, err := s.Entries.Entry(c.ctx, c.actor.UserID, id)
	if err != nil {
		return err
	}
	if old.Version != version {
		return englog.Stale(old.Version)
	}
	now := s.Clock.Now()
	e := englog.Entry{ID: id, UserID: c.actor.UserID, Version: version, EntryContent: in.content(), UpdatedAt: now}
	if err := e.Check(s.MaxContentSize, old.OccurredAt); err != nil {
		return err
	}
	e, refs, err := s.Entries.UpdateEntry(c.ctx, e, s.tasksOfEdit(c, id, version+1))
	if err != nil {
		return err
	}
	s.Kicker.Kick(refs)
	c.w.Header()["Etag"] = []string{etag(e.Version)}
	return c.sendBuilt(http.StatusOK, func(b []byte) []byte { return appendEntry(b, &e) })
}

func (s *Server) deleteEntry(c *call) error {
	id, err := c.pathID("id", "entry")
	if err != nil {
		return err
	}
	version, err := c.entryVersion()
	if err != nil {
		return err
	}
	if err := s.Entries.DeleteEntry(c.ctx, c.actor.UserID, id, version); err != nil {
		return err
	}
	return c.empty()
}

func (s *Server) listEntries(c *call) error {
	q, err := parseEntryQuery(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	hits, err := s.Entries.FindEntries(c.ctx, c.actor.UserID, q)
	if err != nil {
		return err
	}
	return c.sendBuilt(http.StatusOK, func(b []byte) []byte { return appendPage(b, q, hits) })
}

func appendPage(b []byte, q englog.EntryQuery, hits []englog.Hit) []byte {
	b = append(b, `{"items":[`...)
	for i := range hits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEntry(b, &hits[i].Entry)
		if q.Text != "" {
			b = b[:len(b)-1] // inside the entry's object
			b = strconv.AppendFloat(append(b, `,"rank":`...), float64(hits[i].Rank), 'g', -1, 32)
			b = append(appendText(b, `,"highlights":`, hits[i].Highlights), '}')
		}
	}
	b = append(b, ']')
	if n := len(hits); n > 0 && n == q.Limit {
		b = appendText(b, `,"next_cursor":`, q.Next(hits[n-1]).String())
	}
	return append(b, '}')
}

// queryReader collects what is wrong with the parameters of a query.
type queryReader struct {
	values url.Values
	known  []string
	bad    []englog.FieldError
}

func (q *queryReader) get(name string) string {
	q.known = append(q.known, name)
	if len(q.values[name]) > 1 {
		q.bad = append(q.bad, englog.FieldError{Field: name, Message: "must be given once"})
	}
	return q.values.Get(name)
}

func (q *queryReader) int(name string, fallback, low, high int) int {
	raw := q.get(name)
	if raw == "" {
		return fallback
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < low || n > high {
		q.bad = append(q.bad, englog.FieldError{Field: name, Message: "must be a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high)})
	}
	return n
}

func (q *queryReader) time(name string) time.Time {
	raw := q.get(name)
	if raw == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, raw); err == nil && t.Year() > 0 && t.Year() < 9999 {
			return t.UTC()
		}
	}
	q.bad = append(q.bad, englog.FieldError{Field: name, Message: "must be a date such as 2026-03-01 or a time of RFC 3339"})
	return time.Time{}
}

// tags reads a list separated by commas.
func (q *queryReader) tags(name string) (tags []string) {
	raw := q.get(name)
	if raw == "" {
		return nil
	}
	for _, word := range strings.Split(raw, ",") {
		tag, err := englog.NormalizeTag(word)
		if err != nil || len(tags) >= englog.MaxTags {
			q.bad = append(q.bad, englog.FieldError{Field: name, Message: "must be at most 20 tags separated by commas"})
			return nil
		}
		tags = append(tags, tag)
	}
	return tags
}

// done reports everything that was wrong, unknown parameters too.
func (q *queryReader) done() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			q.bad = append(q.bad, englog.FieldError{Field: name, Message: "is not a parameter of this address"})
		}
	}
	if len(q.bad) > 0 {
		return englog.InvalidFields(q.bad)
	}
	return nil
}

func newQueryReader(raw string) (*queryReader, error) {
	values, err := url.ParseQuery(raw)
	if err != nil || strings.Contains(raw, "%00") {
		return nil, englog.Errorf(englog.CodeInvalid, "The query of the address is malformed.")
	}
	return &queryReader{values: values}, nil
}

func parseEntryQuery(raw string) (englog.EntryQuery, error) {
	if raw == "" {
		return englog.EntryQuery{Limit: englog.DefaultPageSize}, nil
	}
	r, err := newQueryReader(raw)
	if err != nil {
		return englog.EntryQuery{}, err
	}
	q := englog.EntryQuery{
		Limit: r.int("limit", englog.DefaultPageSize, 1, englog.MaxPageSize), Text: strings.TrimSpace(strings.ToValidUTF8(r.get("q"), "")),
		AllTags: r.tags("tags"), AnyTags: r.tags("any_tags"), NoTags: r.tags("not_tags"), Untagged: r.get("untagged") == "true",
		Kind: r.get("kind"), Project: strings.ToValidUTF8(r.get("project"), ""), From: r.time("from"), Until: r.time("until"),
		MinMood: int16(r.int("min_mood", 0, 1, 10)), MaxMood: int16(r.int("max_mood", 0, 1, 10)),
	}
	if len(q.Text) > 500 {
		r.bad = append(r.bad, englog.FieldError{Field: "q", Message: "must have at most 500 bytes"})
	}
	if q.Kind != "" && !slices.Contains(englog.EntryKinds(), q.Kind) {
		r.bad = append(r.bad, englog.FieldError{Field: "kind", Message: "must be one of " + strings.Join(englog.EntryKinds(), ", ")})
	}
	if q.After, err = englog.ParseCursor(r.get("cursor")); err != nil {
		r.bad = append(r.bad, toError(err).Fields...)
	}
	return q, r.done()
}
