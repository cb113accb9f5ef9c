package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Numbers counts over entries. Package store's Store is one.
type Numbers interface {
	TagCounts(ctx context.Context, user englog.UserID) ([]englog.TagCount, error)
	RenameTag(ctx context.Context, user englog.UserID, from, to string, now time.Time) (int64, error)
	RemoveTag(ctx context.Context, user englog.UserID, tag string, now time.Time) (int64, error)
	Days(ctx context.Context, user englog.UserID, zone string, from, until time.Time) ([]englog.Day, error)
	Totals(ctx context.Context, user englog.UserID) (englog.Totals, error)
	Trend(ctx context.Context, user englog.UserID, zone string, from, until time.Time, step englog.TrendStep) (englog.Trend, error)
	OnThisDay(ctx context.Context, user englog.UserID, day englog.Date, zone *time.Location) ([]englog.Hit, error)
}

func (s *Server) listTags(c *call) error {
	list, err := s.Numbers.TagCounts(c.ctx, c.actor.UserID)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showAll(list, func(t englog.TagCount) englog.TagCount { return t }))
}

func (s *Server) renameTag(c *call) error {
	var in struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	from, err1 := englog.NormalizeTag(in.From)
	to, err2 := englog.NormalizeTag(in.To)
	switch {
	case err1 != nil:
		return englog.Invalid("from", err1.Error())
	case err2 != nil:
		return englog.Invalid("to", err2.Error())
	case from == to:
		return englog.Invalid("to", "must differ from the present name")
	}
	n, err := s.Numbers.RenameTag(c.ctx, c.actor.UserID, from, to, s.Clock.Now())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]int64{"entries": n})
}

func (s *Server) removeTag(c *call) error {
	raw, err := url.PathUnescape(mux.Vars(c.r)["tag"])
	if err != nil {
		return englog.NotFound("tag")
	}
	tag, err := englog.NormalizeTag(raw)
	if err != nil {
		return englog.NotFound("tag")
	}
	n, err := s.Numbers.RemoveTag(c.ctx, c.actor.UserID, tag, s.Clock.Now())
	if err != nil {
		return err
	}
	if n == 0 {
		return englog.NotFound("tag")
	}
	return c.json(http.StatusOK, map[string]int64{"entries": n})
}

// calendar is the user's own: zone and today's date.
func (s *Server) calendar(c *call) (*time.Location, englog.Date, englog.User, error) {
	u, err := s.Accounts.Profile(c.ctx, c.actor)
	if err != nil {
		return nil, englog.Date{}, u, err
	}
	zone, err := time.LoadLocation(u.Preferences.Timezone)
	if err != nil {
		zone = time.UTC
	}
	return zone, englog.DateOf(s.Clock.Now(), zone), u, nil
}

// date reads a parameter such as 2026-03-01.
func (q *queryReader) date(name string, fallback englog.Date) englog.Date {
	raw := q.get(name)
	if raw == "" {
		return fallback
	}
	d, err := englog.ParseDate(raw)
	if err != nil || d.Year() < 1900 || d.Year() > 2200 {
		q.bad = append(q.bad, englog.FieldError{Field: name, Message: "must be a date such as 2026-03-01"})
	}
	return d
}

// heatmap counts each day of a range; the last year unless said.
func (s *Server) heatmap(c *call) error {
	zone, today, _, err := s.calendar(c)
	if err != nil {
		return err
	}
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	until := q.date("until", today.Add(1))
	from := q.date("from", until.Add(-365))
	if err := q.period(from, until, 3700); err != nil {
		return err
	}
	days, err := s.Numbers.Days(c.ctx, c.actor.UserID, zone.String(), from.Start(zone), until.Start(zone))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		From  englog.Date  `json:"from"`
		Until englog.Date  `json:"until"`
		Zone  string       `json:"timezone"`
		Days  []englog.Day `json:"days"`
	}{from, until, zone.String(), orEmpty(days)})
}

// period ends the reading of parameters and checks a range of days.
func (q *queryReader) period(from, until englog.Date, most int) error {
	if err := q.done(); err != nil {
		return err
	}
	if !from.Before(until.Time) || until.Sub(from.Time) > time.Duration(most)*24*time.Hour {
		return englog.Invalid("until", "must lie after from, and not too far")
	}
	return nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// statsOutput is everything that is counted over a user's entries.
type statsOutput struct {
	Entries         int64               `json:"entries"`
	Words           int64               `json:"words"`
	WordsPerEntry   float64             `json:"words_per_entry"`
	Mood            *float64            `json:"mood,omitempty"`
	First           *time.Time          `json:"first_entry,omitempty"`
	Last            *time.Time          `json:"last_entry,omitempty"`
	CurrentStreak   int                 `json:"current_streak"`
	LongestStreak   int                 `json:"longest_streak"`
	EntriesThisWeek int64               `json:"entries_this_week"`
	Kinds           []englog.NamedCount `json:"kinds"`
	Projects        []englog.NamedCount `json:"projects"`
}

func (s *Server) stats(c *call) error {
	zone, today, _, err := s.calendar(c)
	if err != nil {
		return err
	}
	totals, err := s.Numbers.Totals(c.ctx, c.actor.UserID)
	if err != nil {
		return err
	}
	out := statsOutput{Entries: totals.Entries, Words: totals.Words, First: known(totals.First), Last: known(totals.Last),
		Kinds: orEmpty(totals.Kinds), Projects: orEmpty(totals.Projects)}
	if totals.Mood > 0 {
		out.Mood = &totals.Mood
	}
	if totals.Entries > 0 {
		out.WordsPerEntry = float64(totals.Words) / float64(totals.Entries)
		days, err := s.Numbers.Days(c.ctx, c.actor.UserID, zone.String(), totals.First, totals.Last.Add(time.Second))
		if err != nil {
			return err
		}
		out.CurrentStreak, out.LongestStreak = englog.Streaks(days, today)
		for _, d := range days {
			if !d.Date.Before(today.Monday().Time) && !d.Date.After(today.Time) {
				out.EntriesThisWeek += d.Entries
			}
		}
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) onThisDay(c *call) error {
	zone, today, _, err := s.calendar(c)
	if err != nil {
		return err
	}
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	day := q.date("date", today)
	if err := q.done(); err != nil {
		return err
	}
	hits, err := s.Numbers.OnThisDay(c.ctx, c.actor.UserID, day, zone)
	if err != nil {
		return err
	}
	return c.sendBuilt(http.StatusOK, func(b []byte) []byte { return appendPage(b, englog.EntryQuery{}, hits) })
}
