package store

import (
	"context"
	"fmt"
)

// schemaState is what the two version tables and schema_compatibility hold.
type schemaState struct {
	Schema
	applied map[Phase]map[int64]bool
}

// fresh reports whether no migration ever ran.
func (s schemaState) fresh() bool { return len(s.applied[Expand]) == 0 }

// pending lists the files of a phase that were not applied.
func (s schemaState) pending(all []migration, phase Phase) (files []migration) {
	for _, m := range ofPhase(all, phase) {
		if !s.applied[phase][m.version] {
			files = append(files, m)
		}
	}
	return files
}

// result describes the state before a run of a phase. On a fresh database
// nothing is destructive: there is nothing to take away.
func (s schemaState) result(all []migration, phase Phase) MigrateResult {
	r := MigrateResult{Phase: phase, From: s.Current, To: s.Current, Current: s.Current,
		OldestCompatible: s.OldestCompatible, Pending: []string{}, Applied: []string{}}
	for _, m := range s.pending(all, phase) {
		r.Pending = append(r.Pending, m.name)
		if m.destructive() && !s.fresh() {
			r.Destructive, r.Approve = true, m.name
		}
		if phase == Expand {
			r.To = max(r.To, m.version)
		}
	}
	return r
}

// read collects the state; tables that are missing count as empty.
func (m *Migrator) read(ctx context.Context) (schemaState, error) {
	s := schemaState{applied: map[Phase]map[int64]bool{}}
	for _, phase := range []Phase{Expand, Contract} {
		versions, err := m.appliedVersions(ctx, phase)
		if err != nil {
			return s, err
		}
		s.applied[phase] = versions
	}
	err := m.db.QueryRowContext(ctx, schemaSQL).Scan(&s.Current, &s.OldestCompatible)
	if state, _ := sqlState(err); err != nil && state != stateUndefinedTable && !isNoRows(err) {
		return s, fmt.Errorf("read the schema's level: %w", err)
	}
	return s, nil
}

func (m *Migrator) appliedVersions(ctx context.Context, phase Phase) (map[int64]bool, error) {
	rows, err := m.db.QueryContext(ctx, "SELECT version_id FROM "+versionTable(phase)+" WHERE version_id > 0 AND is_applied") //nolint:gosec // one of two constants
	if state, _ := sqlState(err); state == stateUndefinedTable {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the applied %s migrations: %w", phase, err)
	}
	defer func() { _ = rows.Close() }()
	versions := map[int64]bool{}
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("read the applied %s migrations: %w", phase, err)
		}
		versions[v] = true
	}
	return versions, rows.Err()
}

const settleSQL = `
INSERT INTO schema_compatibility (id, current_level, oldest_compatible, updated_at) VALUES (true, $1, $2, now())
ON CONFLICT (id) DO UPDATE SET current_level = greatest(schema_compatibility.current_level, excluded.current_level),
   oldest_compatible = greatest(schema_compatibility.oldest_compatible, excluded.oldest_compatible), updated_at = now()`

const createCompatibilitySQL = `
CREATE TABLE IF NOT EXISTS schema_compatibility (
    id                boolean     PRIMARY KEY CHECK (id),
    current_level     bigint      NOT NULL,
    oldest_compatible bigint      NOT NULL,
    updated_at        timestamptz NOT NULL
)`

// settle writes what the version tables amount to. It runs after every Up, also
// one that had nothing to do, so that a run that died in between is repaired.
func (m *Migrator) settle(ctx context.Context) (Schema, error) {
	if _, err := m.db.ExecContext(ctx, createCompatibilitySQL); err != nil {
		return Schema{}, fmt.Errorf("create schema_compatibility: %w", err)
	}
	s, err := m.read(ctx)
	if err != nil {
		return Schema{}, err
	}
	level, oldest := int64(0), int64(1)
	for v := range s.applied[Expand] {
		level = max(level, v)
	}
	for _, file := range ofPhase(m.files, Contract) {
		if s.applied[Contract][file.version] {
			oldest = max(oldest, file.oldest)
		}
	}
	if _, err := m.db.ExecContext(ctx, settleSQL, level, oldest); err != nil {
		return Schema{}, fmt.Errorf("write schema_compatibility: %w", err)
	}
	s, err = m.read(ctx)
	return s.Schema, err
}
