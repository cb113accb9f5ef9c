package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

// The common list, without and with a cursor.
const (
	listEntriesSQL = `SELECT ` + entryColumns + ` FROM entries
 WHERE user_id = $1 ORDER BY occurred_at DESC, id DESC LIMIT $2`
	listEntriesAfterSQL = `SELECT ` + entryColumns + ` FROM entries
 WHERE user_id = $1 AND (occurred_at, id) < ($3, $4) ORDER BY occurred_at DESC, id DESC LIMIT $2`
)

// rankedCandidates bounds the work of a ranking: of more matches the newest are
// ranked (ranking 20,000 takes 21 ms).
const rankedCandidates = 1000

// FindEntries returns one page of a user's entries.
func (s *Store) FindEntries(ctx context.Context, user englog.UserID, q englog.EntryQuery) ([]englog.Hit, error) {
	sql, args := findSQL(user, q)
	hits, err := once(func() ([]englog.Hit, error) {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		return collectHits(rows, q)
	})
	if err != nil {
		return nil, fmt.Errorf("find entries: %w", err)
	}
	return hits, nil
}

func collectHits(rows pgx.Rows, q englog.EntryQuery) ([]englog.Hit, error) {
	defer rows.Close()
	hits := make([]englog.Hit, 0, q.Limit)
	for rows.Next() {
		hits = append(hits, englog.Hit{})
		h := &hits[len(hits)-1]
		var more []any
		if q.Text != "" {
			more = []any{&h.Rank, &h.Highlights}
		}
		if err := scanEntry(rows, &h.Entry, more...); err != nil {
			return nil, err
		}
	}
	return hits, rows.Err()
}

// findSQL returns the statement of a query and its parameters.
func findSQL(user englog.UserID, q englog.EntryQuery) (string, []any) {
	switch {
	case q.Text != "":
		return searchSQL(user, q)
	case q.Plain() && q.After.IsZero():
		return listEntriesSQL, []any{user, q.Limit}
	case q.Plain():
		return listEntriesAfterSQL, []any{user, q.Limit, q.After.OccurredAt, q.After.ID}
	}
	w := newWhere(user, q)
	if !q.After.IsZero() {
		w.add("(occurred_at, id) < (%s, %s)", q.After.OccurredAt, q.After.ID)
	}
	limit := w.param(q.Limit)
	return "SELECT " + entryColumns + " FROM entries WHERE " + w.String() + " ORDER BY occurred_at DESC, id DESC LIMIT " + limit, w.args
}

// searchSQL ranks the newest matches, and makes highlights for the page only.
func searchSQL(user englog.UserID, q englog.EntryQuery) (string, []any) {
	w := newWhere(user, q)
	query := "websearch_to_tsquery('english', " + w.param(q.Text) + "::text)"
	w.list = append(w.list, "search @@ "+query)
	after := "true"
	if !q.After.IsZero() {
		after = fmt.Sprintf("(rank, id) < (%s::real, %s::uuid)", w.param(q.After.Rank), w.param(q.After.ID))
	}
	limit := w.param(q.Limit)
	sql := fmt.Sprintf(`WITH found AS MATERIALIZED (
    SELECT id, search FROM entries WHERE %[1]s ORDER BY occurred_at DESC LIMIT %[2]d
), page AS (
    SELECT id AS hit, rank FROM (SELECT id, ts_rank_cd(search, %[3]s) AS rank FROM found) r
     WHERE %[4]s ORDER BY rank DESC, id DESC LIMIT %[5]s
)
SELECT %[6]s, rank, ts_headline('english', concat_ws(E'\n', nullif(title, ''), nullif(summary, ''), left(body, 20000)), %[3]s,
       'StartSel=`+"\ue000, StopSel=\ue001"+`, MaxFragments=2, MaxWords=30, MinWords=10, FragmentDelimiter=" … "')
  FROM page JOIN entries ON id = hit ORDER BY rank DESC, id DESC`, w.String(), rankedCandidates, query, after, limit, entryColumns)
	return sql, w.args
}

// where collects conditions and their parameters.
type where struct {
	list []string
	args []any
}

// newWhere starts with the conditions of all queries but text and cursor.
func newWhere(user englog.UserID, q englog.EntryQuery) *where {
	w := &where{}
	w.add("user_id = %s", user)
	if len(q.AllTags) > 0 {
		w.add("tags @> %s::text[]", q.AllTags)
	}
	if len(q.AnyTags) > 0 {
		w.add("tags && %s::text[]", q.AnyTags)
	}
	if len(q.NoTags) > 0 {
		w.add("NOT tags && %s::text[]", q.NoTags)
	}
	if q.Untagged {
		w.add("tags = '{}'")
	}
	if q.Kind != "" {
		w.add("kind = %s", q.Kind)
	}
	if q.Project != "" {
		w.add("project = %s", q.Project)
	}
	w.addRanges(q)
	return w
}

func (w *where) addRanges(q englog.EntryQuery) {
	if !q.From.IsZero() {
		w.add("occurred_at >= %s", q.From)
	}
	if !q.Until.IsZero() {
		w.add("occurred_at < %s", q.Until)
	}
	if q.MinMood > 0 || q.MaxMood > 0 {
		w.add("mood BETWEEN %s AND %s", max(q.MinMood, 1), orTen(q.MaxMood))
	}
}

func orTen(mood int16) int16 {
	if mood == 0 {
		return 10
	}
	return mood
}

// param adds a parameter and returns its placeholder.
func (w *where) param(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *where) add(condition string, values ...any) {
	names := make([]any, len(values))
	for i, v := range values {
		names[i] = w.param(v)
	}
	w.list = append(w.list, fmt.Sprintf(condition, names...))
}

func (w *where) String() string { return strings.Join(w.list, " AND ") }
