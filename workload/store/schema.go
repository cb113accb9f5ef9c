package store

import (
	"context"
	"fmt"
	"time"
)

// Schema is what the database says about itself: the level that expand
// migrations reached, and the oldest level of a program that it still bears.
type Schema struct {
	Current          int64 `json:"current"`
	OldestCompatible int64 `json:"oldestCompatible"`
}

// Bears reports why a program of a level that needs at least another level
// cannot run on the schema; empty if it can.
func (s Schema) Bears(level, needs int64) string {
	switch {
	case s.Current < needs:
		return fmt.Sprintf("schema_too_old: the database is at level %d and this release needs %d: run englog migrate up --phase expand", s.Current, needs)
	case level < s.OldestCompatible:
		return fmt.Sprintf("schema_too_new: this release is of level %d and the database bears %d or newer only", level, s.OldestCompatible)
	}
	return ""
}

const schemaSQL = `SELECT current_level, oldest_compatible FROM schema_compatibility`

// Schema reads the levels of the database; zero if it was never migrated.
func (s *Store) Schema(ctx context.Context) (Schema, error) {
	schema, err := once(func() (v Schema, err error) {
		return v, s.pool.QueryRow(ctx, schemaSQL).Scan(&v.Current, &v.OldestCompatible)
	})
	if state, _ := sqlState(err); state == stateUndefinedTable || isNoRows(err) {
		return Schema{}, nil
	}
	if err != nil {
		return Schema{}, fmt.Errorf("read the schema's level: %w", err)
	}
	return schema, nil
}

// Instance is a serving process as it reports itself.
type Instance struct {
	ID, Role, Color, Revision, Version string
	Level                              int64
}

const heartbeatSQL = `
INSERT INTO app_instances (id, role, color, revision, version, level, last_seen) VALUES ($1, $2, $3, $4, $5, $6, now())
ON CONFLICT (id) DO UPDATE SET level = excluded.level, last_seen = excluded.last_seen`

const forgetInstanceSQL = `DELETE FROM app_instances WHERE id = $1 OR last_seen < now() - interval '1 day'`

// Heartbeat records that a process is alive.
func (s *Store) Heartbeat(ctx context.Context, i Instance) error {
	if _, err := s.pool.Exec(ctx, heartbeatSQL, i.ID, i.Role, i.Color, i.Revision, i.Version, i.Level); err != nil {
		return fmt.Errorf("record a heartbeat: %w", err)
	}
	return nil
}

// Forget removes a process that ends, and those long gone.
func (s *Store) Forget(ctx context.Context, id string) error {
	if _, err := s.pool.Exec(ctx, forgetInstanceSQL, id); err != nil {
		return fmt.Errorf("forget an instance: %w", err)
	}
	return nil
}

// instanceIsAlive is how long after its last heartbeat (one in 10 s) a process
// counts as alive.
const instanceIsAlive = 45 * time.Second
