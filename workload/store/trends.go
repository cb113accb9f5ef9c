package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

// What is counted over: the entries of user $1 from $2 until $3, each with the sentiment of its present version, if there is one.
const trendPart = `
  FROM entries e LEFT JOIN insights i ON i.entry_id = e.id AND i.kind = 'sentiment' AND i.entry_version = e.version
 WHERE e.user_id = $1 AND e.occurred_at >= $2 AND e.occurred_at < $3`

const (
	trendPointsSQL = `
SELECT date_trunc($5::text, e.occurred_at AT TIME ZONE $4::text)::date, count(e.id), coalesce(sum(e.word_count), 0)::bigint,
       avg(nullif(e.mood, 0))::float8, avg((i.data ->> 'score')::float8)` + trendPart + ` GROUP BY 1 ORDER BY 1`
	trendLabelsSQL = `
SELECT i.data ->> 'label', count(e.id)` + trendPart + ` AND i.data ->> 'label' IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1`
	trendEmotionsSQL = `
SELECT m.name, avg(m.value::float8)
  FROM entries e JOIN insights i ON i.entry_id = e.id AND i.kind = 'sentiment' AND i.entry_version = e.version
 CROSS JOIN LATERAL jsonb_each_text(i.data -> 'emotions') AS m (name, value)
 WHERE e.user_id = $1 AND e.occurred_at >= $2 AND e.occurred_at < $3 GROUP BY 1 ORDER BY 2 DESC, 1`
	trendThemesSQL = `
SELECT lower(t.theme ->> 'name'), count(DISTINCT e.id), avg((s.data ->> 'score')::float8)
  FROM entries e JOIN insights i ON i.entry_id = e.id AND i.kind = 'themes' AND i.entry_version = e.version
  LEFT JOIN insights s ON s.entry_id = e.id AND s.kind = 'sentiment' AND s.entry_version = e.version
 CROSS JOIN LATERAL jsonb_array_elements(i.data -> 'themes') AS t (theme)
 WHERE e.user_id = $1 AND e.occurred_at >= $2 AND e.occurred_at < $3 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10`
	trendHoursSQL = `
SELECT extract(isodow FROM e.occurred_at AT TIME ZONE $4::text)::integer, extract(hour FROM e.occurred_at AT TIME ZONE $4::text)::integer, count(e.id)
  FROM entries e WHERE e.user_id = $1 AND e.occurred_at >= $2 AND e.occurred_at < $3 GROUP BY 1, 2`
)

// Trend sums a period up by the calendar of a zone, in one round trip.
func (s *Store) Trend(ctx context.Context, user englog.UserID, zone string, from, until time.Time, step englog.TrendStep) (englog.Trend, error) {
	var t englog.Trend
	batch := &pgx.Batch{}
	batch.Queue(trendPointsSQL, user, from, until, zone, string(step)).Query(func(rows pgx.Rows) (err error) {
		t.Points, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p englog.TrendPoint, err error) {
			return p, row.Scan(&p.Date.Time, &p.Entries, &p.Words, &p.Mood, &p.Sentiment)
		})
		return err
	})
	batch.Queue(trendLabelsSQL, user, from, until).Query(collectCounts(&t.Labels))
	batch.Queue(trendEmotionsSQL, user, from, until).Query(func(rows pgx.Rows) (err error) {
		t.Emotions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m englog.NamedMean, err error) {
			return m, row.Scan(&m.Name, &m.Mean)
		})
		return err
	})
	batch.Queue(trendThemesSQL, user, from, until).Query(func(rows pgx.Rows) (err error) {
		t.Themes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m englog.TrendTheme, err error) {
			return m, row.Scan(&m.Name, &m.Entries, &m.Sentiment)
		})
		return err
	})
	batch.Queue(trendHoursSQL, user, from, until, zone).Query(func(rows pgx.Rows) error { return collectHours(rows, &t) })
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return t, fmt.Errorf("sum a period up: %w", err)
	}
	return t, nil
}

func collectHours(rows pgx.Rows, t *englog.Trend) error {
	for rows.Next() {
		var weekday, hour int32
		var n int64
		if err := rows.Scan(&weekday, &hour, &n); err != nil {
			return err
		}
		t.Weekdays[weekday-1] += n
		t.Hours[hour] += n
	}
	return rows.Err()
}
