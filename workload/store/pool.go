package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	englog "github.com/garnizeh/englog-operator/workload"
)

// Options says how to reach the database.
type Options struct {
	// ConnString returns the connection string. It is called again for every new
	// connection, so that rotated credentials take effect without a restart.
	ConnString func() (string, error)
	// MaxConns bounds the pool.
	MaxConns int32
	// Timeout bounds connecting and, as statement_timeout, each statement.
	Timeout time.Duration
	// TransactionPooling is on when a pooler such as PgBouncer hands out a
	// connection for each transaction: prepared statements are not kept then.
	TransactionPooling bool
	// Tracer sees every query; nil for none.
	Tracer pgx.QueryTracer
}

// Store keeps the journal in one PostgreSQL database.
type Store struct {
	pool  *pgxpool.Pool
	clock englog.Clock
}

// Open prepares the pool. It does not wait for the database: readiness tells.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", err)
	}
	return &Store{pool: pool, clock: englog.SystemClock{}}, nil
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	url, err := o.ConnString()
	if err != nil {
		return nil, fmt.Errorf("read the database credentials: %w", err)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the database connection string: %w", redacted(err))
	}
	config.MaxConns = o.MaxConns
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = 30*time.Minute, 5*time.Minute
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.ConnectTimeout = o.Timeout
	config.ConnConfig.Tracer = o.Tracer
	if o.TransactionPooling {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		config.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(o.Timeout.Milliseconds())
		config.ConnConfig.RuntimeParams["application_name"] = "englog"
	}
	config.AfterConnect = registerUUIDs
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return refreshCredentials(c, o.ConnString) }
	return config, nil
}

// refreshCredentials replaces address and credentials by what the files say now.
func refreshCredentials(c *pgx.ConnConfig, connString func() (string, error)) error {
	url, err := connString()
	if err != nil {
		return fmt.Errorf("read the database credentials: %w", err)
	}
	fresh, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("parse the database connection string: %w", redacted(err))
	}
	c.Host, c.Port, c.Database = fresh.Host, fresh.Port, fresh.Database
	c.User, c.Password = fresh.User, fresh.Password
	c.TLSConfig, c.Fallbacks = fresh.TLSConfig, fresh.Fallbacks
	return nil
}

// redacted drops the text of a parse error, which may quote the password.
func redacted(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("it is not a valid PostgreSQL URL or keyword list (%T)", err)
}

// Close waits for connections in use and closes the pool.
func (s *Store) Close() { s.pool.Close() }

// Pool is the pool itself, for those that report its numbers.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping the database: %w", err)
	}
	return nil
}

// sqlState returns the SQLSTATE of a PostgreSQL error and the constraint it
// names; both empty for any other error.
func sqlState(err error) (state, constraint string) {
	if pg := pgError(err); pg != nil {
		return pg.Code, pg.ConstraintName
	}
	return "", ""
}

const (
	stateUniqueViolation     = "23505"
	stateForeignKeyViolation = "23503"
	stateUndefinedTable      = "42P01"
	stateLockNotAvailable    = "55P03"
	stateFeatureNotSupported = "0A000"
)

// planIsOutdated recognises the one failure that a change of schema causes on a
// connection with cached statements. The text of the error is localised and the
// code is shared with others, so the routine decides.
func planIsOutdated(err error) bool {
	pg := pgError(err)
	return pg != nil && pg.Code == stateFeatureNotSupported && pg.Routine == "RevalidateCachedQuery"
}

func pgError(err error) *pgconn.PgError {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}
	return nil
}

// once runs a single statement outside any transaction, and again if a change
// of schema had outdated its cached plan.
func once[T any](run func() (T, error)) (T, error) {
	out, err := run()
	if err != nil && planIsOutdated(err) {
		return run()
	}
	return out, err
}

// Tasks is the part of the store that owns tasks and insights.
func (s *Store) Tasks() *Tasks { return NewTasks(s.pool) }
