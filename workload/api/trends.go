package api

import (
	"net/http"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
)

// trendsOutput is how a user's days went over a period.
type trendsOutput struct {
	Range     string              `json:"range"`
	From      englog.Date         `json:"from"`
	Until     englog.Date         `json:"until"`
	Zone      string              `json:"timezone"`
	Step      englog.TrendStep    `json:"step"`
	Points    []englog.TrendPoint `json:"points"`
	Sentiment []englog.NamedCount `json:"sentiment"`
	Emotions  []englog.NamedMean  `json:"emotions"`
	Themes    []englog.TrendTheme `json:"themes"`
	Weekdays  [7]int64            `json:"weekdays"`
	Hours     [24]int64           `json:"hours"`
}

// trends shows mood, sentiment, emotions, themes and habits over a period that
// ends today.
func (s *Server) trends(c *call) error {
	zone, today, _, err := s.calendar(c)
	if err != nil {
		return err
	}
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	name := q.get("range")
	if name == "" {
		name = "30d"
	}
	period, known := englog.TrendRanges[name]
	if !known {
		q.bad = append(q.bad, englog.FieldError{Field: "range", Message: "must be 7d, 30d, 90d, 1y or all"})
	}
	if err := q.done(); err != nil {
		return err
	}
	until := today.Add(1)
	from := until.Add(-period.Days)
	if period.Days == 0 {
		if from, err = s.firstDay(c, zone, today); err != nil {
			return err
		}
	}
	t, err := s.Numbers.Trend(c.ctx, c.actor.UserID, zone.String(), from.Start(zone), until.Start(zone), period.Step)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, trendsOutput{name, from, until, zone.String(), period.Step, orEmpty(t.Points), orEmpty(t.Labels),
		orEmpty(t.Emotions), orEmpty(t.Themes), t.Weekdays, t.Hours})
}

// firstDay is the first day of the year of the user's first entry.
func (s *Server) firstDay(c *call, zone *time.Location, today englog.Date) (englog.Date, error) {
	totals, err := s.Numbers.Totals(c.ctx, c.actor.UserID)
	day := englog.DateOf(totals.First, zone)
	if totals.First.IsZero() || day.After(today.Time) {
		day = today
	}
	return englog.Date{Time: time.Date(day.Year(), 1, 1, 0, 0, 0, 0, time.UTC)}, err
}
