package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// MigrateResult is what a run of the migrations did, or would do.
type MigrateResult struct {
	Phase            Phase `json:"phase"`
	From             int64 `json:"from"`
	To               int64 `json:"to"`
	Current          int64 `json:"current"`
	OldestCompatible int64 `json:"oldestCompatible"`
	// Destructive is true when a pending migration takes something away.
	Destructive bool `json:"destructive"`
	// Approve is the newest pending migration that does; empty when none does.
	// Approving it approves those before it too, and none that comes later.
	Approve string   `json:"approve"`
	Pending []string `json:"pending"`
	Applied []string `json:"applied"`
	// Refused is true when nothing was run although it could have been: Error
	// says why. Unapproved is a refusal that only an approval ends.
	Refused    bool   `json:"refused"`
	Unapproved bool   `json:"unapproved"`
	Error      string `json:"error"`
}

// RefusedError says why a migration must not run now.
type RefusedError struct {
	Reason string
	// Unapproved is true when a person has to approve it first.
	Unapproved bool
}

func (e *RefusedError) Error() string { return e.Reason }

// Migrator brings the schema of one database up.
type Migrator struct {
	// Approved names the newest destructive migration that may run; empty
	// approves none.
	Approved string

	db    *sql.DB
	files []migration
	log   *slog.Logger
}

// lockKey is the advisory lock that keeps two migrators apart: "englog" in ASCII.
const lockKey = int64(0x656e676c6f67)

// NewMigrator connects to a database. A statement that waits for a lock longer
// than two seconds gives up and is tried again: while it waits, every later
// reader of the table would wait behind it.
func NewMigrator(connString string, log *slog.Logger) (*Migrator, error) {
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("parse the database connection string: %w", redacted(err))
	}
	config.RuntimeParams["lock_timeout"] = "2000"
	config.RuntimeParams["application_name"] = "englog-migrate"
	config.ConnectTimeout = 10 * time.Second
	files, err := loadMigrations(migrationFiles)
	if err != nil {
		return nil, err
	}
	return &Migrator{db: stdlib.OpenDB(*config), files: files, log: log}, nil
}

// Close closes the connections.
func (m *Migrator) Close() error { return m.db.Close() }

// Plan says what Up would do. It writes nothing.
func (m *Migrator) Plan(ctx context.Context, phase Phase) (MigrateResult, error) {
	state, err := m.read(ctx)
	if err != nil {
		return MigrateResult{Phase: phase}, err
	}
	return state.result(m.files, phase), nil
}

// Up applies the pending migrations of a phase; a database that is ahead needs
// nothing. A fresh database runs both phases, for no older program can be using
// it. The error is a *RefusedError when the run must wait.
func (m *Migrator) Up(ctx context.Context, phase Phase) (MigrateResult, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return MigrateResult{Phase: phase}, err
	}
	defer unlock()
	before, err := m.read(ctx)
	if err != nil {
		return MigrateResult{Phase: phase}, err
	}
	result := before.result(m.files, phase)
	if err := m.refuse(ctx, phase, before, result); err != nil {
		return result, err
	}
	phases := []Phase{phase}
	if before.fresh() && phase == Expand {
		phases = []Phase{Expand, Contract}
	}
	for _, p := range phases {
		applied, err := m.apply(ctx, p)
		result.Applied = append(result.Applied, applied...)
		if err != nil {
			return result, err
		}
	}
	schema, err := m.settle(ctx)
	result.Current, result.OldestCompatible, result.To = schema.Current, schema.OldestCompatible, schema.Current
	result.Pending = []string{}
	return result, err
}

// lock polls: a session that blocks on a lock holds a snapshot, and CREATE
// INDEX CONCURRENTLY would wait for that snapshot for ever.
func (m *Migrator) lock(ctx context.Context) (release func(), err error) {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	for waited := 0; ; waited++ {
		var got bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", lockKey).Scan(&got); err != nil {
			return nil, errors.Join(fmt.Errorf("take the migration lock: %w", err), conn.Close())
		}
		if got {
			return func() { unlock(ctx, conn) }, nil
		}
		if waited%10 == 0 {
			m.log.Info("another migration is running: waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the migration lock: %w", ctx.Err()), conn.Close())
		case <-time.After(500*time.Millisecond + rand.N(250*time.Millisecond)):
		}
	}
}

// unlock gives the lock back; closing alone returns the session to the pool,
// where it would keep the lock.
func unlock(ctx context.Context, conn *sql.Conn) {
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", lockKey)
	_ = conn.Close()
}

// refuse says no to what nobody has approved, and to a contract migration that
// a live older program could not bear.
func (m *Migrator) refuse(ctx context.Context, phase Phase, s schemaState, planned MigrateResult) error {
	if planned.Destructive && planned.Approve != m.Approved {
		return &RefusedError{Unapproved: true, Reason: fmt.Sprintf("migration %s takes something away and is not approved: run migrate up with --approve %s", planned.Approve, planned.Approve)}
	}
	if phase != Contract {
		return nil
	}
	oldest := int64(0)
	for _, file := range s.pending(m.files, Contract) {
		oldest = max(oldest, file.oldest)
	}
	if oldest == 0 {
		return nil
	}
	if s.Current < oldest {
		return &RefusedError{Reason: fmt.Sprintf("the database is at level %d and the contract needs %d: run the expand phase first", s.Current, oldest)}
	}
	var id, version string
	err := m.db.QueryRowContext(ctx, `SELECT id, version FROM app_instances WHERE level < $1
		AND last_seen > now() - $2::float8 * interval '1 second' ORDER BY level LIMIT 1`, oldest, instanceIsAlive.Seconds()).Scan(&id, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for live older instances: %w", err)
	}
	return &RefusedError{Reason: fmt.Sprintf("instance %s of version %s is alive and needs what the contract removes", id, version)}
}

// apply runs the pending migrations of one phase, one by one.
func (m *Migrator) apply(ctx context.Context, phase Phase) (applied []string, err error) {
	files := ofPhase(m.files, phase)
	if len(files) == 0 {
		return nil, nil
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, m.db, fileSet{migrationFiles, files},
		goose.WithTableName(versionTable(phase)), goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("prepare the %s migrations: %w", phase, err)
	}
	for {
		done, err := m.applyOne(ctx, provider)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return applied, nil
		}
		if err != nil {
			return applied, err
		}
		applied = append(applied, done)
	}
}

// applyOne runs the next migration, again and again while others hold its locks.
func (m *Migrator) applyOne(ctx context.Context, provider *goose.Provider) (string, error) {
	const tries = 10
	for try := 1; ; try++ {
		result, err := provider.UpByOne(ctx)
		if err == nil {
			m.log.Info("migration applied", "file", result.Source.Path, "milliseconds", result.Duration.Milliseconds())
			return result.Source.Path, nil
		}
		state, _ := sqlState(err)
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			state, _ = sqlState(partial.Err)
		}
		if state != stateLockNotAvailable || try == tries {
			return "", err
		}
		m.log.Info("a lock is held by others: trying again", "try", try)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(try)*200*time.Millisecond + rand.N(300*time.Millisecond)):
		}
	}
}

func versionTable(phase Phase) string { return "schema_version_" + string(phase) }
