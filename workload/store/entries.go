package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	englog "github.com/garnizeh/englog-operator/workload"
)

const entryColumns = `id, version, title, body, kind, project, impact, duration_minutes, mood, tags, metadata, summary, source,
       occurred_at, created_at, updated_at` + moreColumns

const entrySQL = `SELECT ` + entryColumns + ` FROM entries WHERE id = $1 AND user_id = $2`

// insertEntrySQL stands inside a WITH; its parameters are those of entryArgs.
const insertEntryPart = `INSERT INTO entries (user_id, id, version, title, body, kind, project, impact, duration_minutes, mood, tags,
       metadata, source, word_count, occurred_at, created_at, updated_at` + moreColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17` + moreInsert + `)`

// entryArgCount is the number of entryArgs.
var entryArgCount = len(entryArgs(englog.Entry{}))

func entryArgs(e englog.Entry) []any {
	return append([]any{e.UserID, e.ID, e.Version, e.Title, e.Body, e.Kind, e.Project, e.Impact, e.DurationMinutes, e.Mood,
		orEmpty(e.Tags), metadataOf(e), e.Source, int32(englog.WordCount(e.Body)), e.OccurredAt, e.CreatedAt, e.UpdatedAt}, moreArgs(e)...)
}

func metadataOf(e englog.Entry) []byte {
	if len(e.Metadata) == 0 {
		return nil
	}
	return e.Metadata
}

// scanEntry reads one row of entryColumns, then further columns into more.
func scanEntry(row pgx.Row, e *englog.Entry, more ...any) error {
	targets := []any{&e.ID, &e.Version, &e.Title, &e.Body, &e.Kind, &e.Project, &e.Impact, &e.DurationMinutes, &e.Mood, &e.Tags,
		(*[]byte)(&e.Metadata), &e.Summary, &e.Source, &e.OccurredAt, &e.CreatedAt, &e.UpdatedAt}
	targets = append(append(targets, moreTargets(e)...), more...)
	if err := row.Scan(targets...); err != nil {
		return err
	}
	e.OccurredAt, e.CreatedAt, e.UpdatedAt = e.OccurredAt.UTC(), e.CreatedAt.UTC(), e.UpdatedAt.UTC()
	return nil
}

// The statement that creates an entry and its tasks, without and with the row
// of an idempotency key: one statement is one transaction and one round trip.
var (
	createEntrySQL      = "WITH entry AS (" + insertEntryPart + ")" + insertTasksSQL(entryArgCount)
	createEntryKeyedSQL = "WITH entry AS (" + insertEntryPart + "), key AS (" + keyPart(entryArgCount+insertTasksParams) + ")" +
		insertTasksSQL(entryArgCount)
)

// CreateEntry stores a new entry with its tasks, and with a key also the answer
// that a repeated request gets. It returns the tasks to kick now. A key that was
// used before is a conflict: SavedAnswer tells what to do.
func (s *Store) CreateEntry(ctx context.Context, e englog.Entry, t englog.NewTasks, key englog.IdempotencyKey, saved englog.Saved) ([]englog.TaskRef, error) {
	taskArgs, refs, err := insertTasksArgs(t)
	if err != nil {
		return nil, err
	}
	args := append(entryArgs(e), taskArgs...)
	sql := createEntrySQL
	if key.Key != "" {
		sql = createEntryKeyedSQL
		args = append(args, keyArgs(e.UserID, e.CreatedAt, englog.Once{Key: key, Saved: saved})...)
	}
	_, err = once(func() (struct{}, error) {
		_, err := s.pool.Exec(ctx, sql, args...)
		return struct{}{}, err
	})
	if keyWasUsed(err) {
		return nil, errKeyUsed
	}
	if err != nil {
		return nil, fmt.Errorf("create an entry: %w", err)
	}
	return refs, nil
}

// Entry reads one entry of a user.
func (s *Store) Entry(ctx context.Context, user englog.UserID, id englog.EntryID) (englog.Entry, error) {
	e, err := once(func() (e englog.Entry, err error) {
		return e, scanEntry(s.pool.QueryRow(ctx, entrySQL, id, user), &e)
	})
	if isNoRows(err) {
		return e, englog.NotFound("entry")
	}
	if err != nil {
		return e, fmt.Errorf("read an entry: %w", err)
	}
	e.UserID = user
	return e, nil
}

// updateEntrySQL takes entryArgs too: $3 is the version that the edit is based
// on, $13 and $16 are not used but typed.
const updateEntrySQL = `
UPDATE entries SET version = version + 1, title = $4, body = $5, kind = $6, project = $7, impact = $8, duration_minutes = $9,
       mood = $10, tags = $11, metadata = $12, word_count = $14, occurred_at = $15, updated_at = $17` + moreUpdate + `
 WHERE user_id = $1 AND id = $2 AND version = $3 AND $13::text IS NOT NULL AND $16::timestamptz IS NOT NULL
RETURNING version, source, summary, created_at`

// UpdateEntry stores the next version of an entry, if e.Version is still the
// current one, with its tasks; what was under way for older versions is
// cancelled. It returns the entry as stored and the tasks to kick now.
func (s *Store) UpdateEntry(ctx context.Context, e englog.Entry, t englog.NewTasks) (englog.Entry, []englog.TaskRef, error) {
	var refs []englog.TaskRef
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, updateEntrySQL, entryArgs(e)...).Scan(&e.Version, &e.Source, &e.Summary, &e.CreatedAt)
		if err != nil {
			return err
		}
		t.EntryID, t.EntryVersion = e.ID, e.Version
		if refs, err = InsertTasks(ctx, tx, t); err != nil {
			return err
		}
		return CancelSuperseded(ctx, tx, e.ID, e.Version)
	})
	if isNoRows(err) {
		return e, nil, s.whyUnchanged(ctx, e.UserID, e.ID)
	}
	if err != nil {
		return e, nil, fmt.Errorf("update an entry: %w", err)
	}
	e.CreatedAt = e.CreatedAt.UTC()
	return e, refs, nil
}

const deleteEntrySQL = `DELETE FROM entries WHERE user_id = $1 AND id = $2 AND version = $3`

// DeleteEntry removes an entry with its tasks and insights, if version is still
// the current one.
func (s *Store) DeleteEntry(ctx context.Context, user englog.UserID, id englog.EntryID, version int32) error {
	tag, err := s.pool.Exec(ctx, deleteEntrySQL, user, id, version)
	if err != nil {
		return fmt.Errorf("delete an entry: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return s.whyUnchanged(ctx, user, id)
	}
	return nil
}

const deleteEntriesSQL = `DELETE FROM entries WHERE user_id = $1 AND id = ANY($2::uuid[]) RETURNING id`

// DeleteEntries removes those of the entries that exist, whatever their version,
// and returns their ids.
func (s *Store) DeleteEntries(ctx context.Context, user englog.UserID, ids []englog.EntryID) ([]englog.EntryID, error) {
	rows, err := s.pool.Query(ctx, deleteEntriesSQL, user, ids)
	if err != nil {
		return nil, fmt.Errorf("delete entries: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("delete entries: %w", err)
	}
	return gone, nil
}

const entryVersionSQL = `SELECT version FROM entries WHERE user_id = $1 AND id = $2`

// whyUnchanged explains an edit that found no row.
func (s *Store) whyUnchanged(ctx context.Context, user englog.UserID, id englog.EntryID) error {
	var current int32
	err := s.pool.QueryRow(ctx, entryVersionSQL, user, id).Scan(&current)
	if isNoRows(err) {
		return englog.NotFound("entry")
	}
	if err != nil {
		return fmt.Errorf("read an entry's version: %w", err)
	}
	return englog.Stale(current)
}

// CreateEntries stores several entries of one user with their tasks, all or none.
func (s *Store) CreateEntries(ctx context.Context, entries []englog.Entry, tasks []englog.NewTasks, once englog.Once) ([]englog.TaskRef, error) {
	batch := &pgx.Batch{}
	if once.Key.Key != "" {
		batch.Queue(insertKeySQL, keyArgs(entries[0].UserID, entries[0].CreatedAt, once)...)
	}
	var all []englog.TaskRef
	for i, e := range entries {
		taskArgs, refs, err := insertTasksArgs(tasks[i])
		if err != nil {
			return nil, err
		}
		batch.Queue(createEntrySQL, append(entryArgs(e), taskArgs...)...)
		all = append(all, refs...)
	}
	// Without an explicit BEGIN the statements of a batch are one transaction.
	err := s.pool.SendBatch(ctx, batch).Close()
	if keyWasUsed(err) {
		return nil, errKeyUsed
	}
	if err != nil {
		return nil, fmt.Errorf("create entries: %w", err)
	}
	return all, nil
}
