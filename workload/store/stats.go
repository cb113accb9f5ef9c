package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const tagCountsSQL = `
SELECT t.tag, count(e.id), max(e.occurred_at) FROM entries e, unnest(e.tags) AS t (tag)
 WHERE e.user_id = $1 GROUP BY t.tag ORDER BY count(e.id) DESC, t.tag LIMIT 1000`

// TagCounts lists a user's tags, the most used first.
func (s *Store) TagCounts(ctx context.Context, user englog.UserID) ([]englog.TagCount, error) {
	rows, err := s.pool.Query(ctx, tagCountsSQL, user)
	if err != nil {
		return nil, fmt.Errorf("count tags: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c englog.TagCount, err error) {
		err = row.Scan(&c.Tag, &c.Count, &c.LastUsed)
		c.LastUsed = c.LastUsed.UTC()
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("count tags: %w", err)
	}
	return list, nil
}

// A change of tags is a new version of the entry. What was found out about its
// text stays true: tasks and insights go along to the new version.
const (
	renameTagSQL = `
WITH changed AS (
    UPDATE entries e SET version = e.version + 1, updated_at = $4, tags = (
           SELECT array_agg(d.tag ORDER BY d.pos) FROM (
                  SELECT u.tag, min(u.pos) AS pos FROM unnest(array_replace(e.tags, $2::text, $3::text)) WITH ORDINALITY AS u (tag, pos)
                   GROUP BY u.tag) d)
     WHERE e.user_id = $1 AND e.tags @> ARRAY[$2::text] RETURNING e.id, e.version` + followVersion
	removeTagSQL = `
WITH changed AS (
    UPDATE entries e SET version = e.version + 1, updated_at = $3, tags = array_remove(e.tags, $2::text)
     WHERE e.user_id = $1 AND e.tags @> ARRAY[$2::text] RETURNING e.id, e.version` + followVersion
	followVersion = `
), moved_tasks AS (
    UPDATE tasks t SET entry_version = c.version FROM changed c WHERE t.entry_id = c.id AND t.entry_version = c.version - 1
), moved_insights AS (
    UPDATE insights i SET entry_version = c.version FROM changed c WHERE i.entry_id = c.id AND i.entry_version = c.version - 1
)
SELECT count(id) FROM changed`
)

// RenameTag gives a tag another name on all entries of a user; an existing name
// merges the two. It returns how many entries changed.
func (s *Store) RenameTag(ctx context.Context, user englog.UserID, from, to string, now time.Time) (n int64, err error) {
	if err := s.pool.QueryRow(ctx, renameTagSQL, user, from, to, now).Scan(&n); err != nil {
		return 0, fmt.Errorf("rename a tag: %w", err)
	}
	return n, nil
}

// RemoveTag takes a tag off all entries of a user.
func (s *Store) RemoveTag(ctx context.Context, user englog.UserID, tag string, now time.Time) (n int64, err error) {
	if err := s.pool.QueryRow(ctx, removeTagSQL, user, tag, now).Scan(&n); err != nil {
		return 0, fmt.Errorf("remove a tag: %w", err)
	}
	return n, nil
}

const daysSQL = `
SELECT (occurred_at AT TIME ZONE $2::text)::date, count(id), coalesce(sum(word_count), 0)::bigint, coalesce(avg(nullif(mood, 0)), 0)::float8
  FROM entries WHERE user_id = $1 AND occurred_at >= $3 AND occurred_at < $4 GROUP BY 1 ORDER BY 1`

// Days counts what a user wrote on each day of a zone's calendar; days without
// an entry are left out.
func (s *Store) Days(ctx context.Context, user englog.UserID, zone string, from, until time.Time) ([]englog.Day, error) {
	rows, err := s.pool.Query(ctx, daysSQL, user, zone, from, until)
	if err != nil {
		return nil, fmt.Errorf("count days: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d englog.Day, err error) {
		return d, row.Scan(&d.Date.Time, &d.Entries, &d.Words, &d.Mood)
	})
	if err != nil {
		return nil, fmt.Errorf("count days: %w", err)
	}
	return list, nil
}

const (
	totalsSQL = `
SELECT count(id), coalesce(sum(word_count), 0)::bigint, coalesce(avg(nullif(mood, 0)), 0)::float8, min(occurred_at), max(occurred_at)
  FROM entries WHERE user_id = $1`
	kindCountsSQL    = `SELECT kind, count(id) FROM entries WHERE user_id = $1 GROUP BY kind ORDER BY count(id) DESC, kind`
	projectCountsSQL = `
SELECT project, count(id) FROM entries WHERE user_id = $1 AND project <> '' GROUP BY project ORDER BY count(id) DESC, project LIMIT 20`
)

// Totals counts over all entries of a user, in one round trip.
func (s *Store) Totals(ctx context.Context, user englog.UserID) (englog.Totals, error) {
	var t englog.Totals
	var first, last *time.Time
	batch := &pgx.Batch{}
	batch.Queue(totalsSQL, user).QueryRow(func(row pgx.Row) error { return row.Scan(&t.Entries, &t.Words, &t.Mood, &first, &last) })
	batch.Queue(kindCountsSQL, user).Query(collectCounts(&t.Kinds))
	batch.Queue(projectCountsSQL, user).Query(collectCounts(&t.Projects))
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return t, fmt.Errorf("count entries: %w", err)
	}
	t.First, t.Last = orZero(first), orZero(last)
	return t, nil
}

func collectCounts(to *[]englog.NamedCount) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c englog.NamedCount, err error) {
			return c, row.Scan(&c.Name, &c.Count)
		})
		return err
	}
}

const onThisDaySQL = `SELECT ` + entryColumns + ` FROM entries
 WHERE user_id = $1 AND occurred_at < $5 AND extract(month FROM occurred_at AT TIME ZONE $2::text) = $3::integer
   AND extract(day FROM occurred_at AT TIME ZONE $2::text) = $4::integer ORDER BY occurred_at DESC, id DESC LIMIT 100`

// OnThisDay lists a user's entries of the same day in earlier years.
func (s *Store) OnThisDay(ctx context.Context, user englog.UserID, day englog.Date, zone *time.Location) ([]englog.Hit, error) {
	rows, err := s.pool.Query(ctx, onThisDaySQL, user, zone.String(), int32(day.Month()), int32(day.Day()), day.Start(zone))
	if err != nil {
		return nil, fmt.Errorf("find entries of this day: %w", err)
	}
	hits, err := collectHits(rows, englog.EntryQuery{})
	if err != nil {
		return nil, fmt.Errorf("find entries of this day: %w", err)
	}
	return hits, nil
}
