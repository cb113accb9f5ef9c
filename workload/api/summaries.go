package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	englog "github.com/garnizeh/englog-operator/workload"
)

// summaryEntries is how many entries one summary takes in; a brag document over
// a year has fewer.
const summaryEntries = 2000

// summaryOutput is a summary as JSON; with Accept: text/markdown it is the text alone.
type summaryOutput struct {
	Kind     englog.DigestKind `json:"kind"`
	From     englog.Date       `json:"from"`
	Until    englog.Date       `json:"until"`
	Entries  int               `json:"entries"`
	Markdown string            `json:"markdown"`
}

func (s *Server) summary(c *call) error {
	zone, today, u, err := s.calendar(c)
	if err != nil {
		return err
	}
	q, err := newQueryReader(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	d := englog.Digest{Kind: englog.DigestKind(mux.Vars(c.r)["kind"]), Name: u.Name, Zone: zone}
	switch d.Kind {
	case englog.DigestStandup:
		d.From, d.Until = standupPeriod(q.date("date", today))
	case englog.DigestWeek:
		d.From = q.date("date", today).Monday()
		d.Until = d.From.Add(7)
	case englog.DigestBrag:
		d.Until = q.date("until", today.Add(1))
		d.From = q.date("from", d.Until.Add(-183))
	default:
		return englog.NotFound("summary")
	}
	d.Project = strings.ToValidUTF8(q.get("project"), "")
	if err := q.period(d.From, d.Until, 3700); err != nil {
		return err
	}
	return s.writeSummary(c, d)
}

// standupPeriod reaches back to the last working day: on Monday to Friday.
func standupPeriod(today englog.Date) (from, until englog.Date) {
	back := map[string]int{"Monday": 3, "Sunday": 2}[today.Weekday().String()]
	return today.Add(-max(1, back)), today.Add(1)
}

func (s *Server) writeSummary(c *call, d englog.Digest) error {
	hits, err := s.Entries.FindEntries(c.ctx, c.actor.UserID, englog.EntryQuery{From: d.From.Start(d.Zone), Until: d.Until.Start(d.Zone),
		Project: d.Project, Limit: summaryEntries})
	if err != nil {
		return err
	}
	for _, h := range hits {
		d.Entries = append(d.Entries, h.Entry)
	}
	if d.Kind == englog.DigestWeek && d.Project == "" {
		if d.Insights, err = s.weekInsights(c, d.From); err != nil {
			return err
		}
	}
	text := d.Markdown()
	if strings.HasPrefix(c.r.Header.Get("Accept"), "text/markdown") {
		c.status = http.StatusOK
		c.w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		_, _ = c.w.Write([]byte(text))
		return nil
	}
	return c.json(http.StatusOK, summaryOutput{d.Kind, d.From, d.Until, len(hits), text})
}

// weekInsights are the sentences that a task found to say about a week; none until
// it ran, and without AI.
func (s *Server) weekInsights(c *call, monday englog.Date) ([]string, error) {
	list, err := s.Analysis.InsightsOfUser(c.ctx, c.actor.UserID, englog.KindWeeklyInsight, monday.Time, englog.MaxPageSize)
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		if !i.Period.Equal(monday.Time) {
			continue
		}
		var week struct {
			Text            string   `json:"text"`
			Recommendations []string `json:"recommendations"`
		}
		if err := json.Unmarshal(i.Data, &week); err != nil {
			return nil, fmt.Errorf("read the insight of a week: %w", err)
		}
		return append([]string{week.Text}, week.Recommendations...), nil
	}
	return nil, nil
}
