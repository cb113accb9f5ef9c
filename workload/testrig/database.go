package testrig

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/store"
)

// Database returns the URL of a new database with the schema of this build.
func Database(t testing.TB) string {
	t.Helper()
	url, err := SharedPostgres(t).Clone("migrated", Migrate)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Migrate brings a database to the schema of this build.
func Migrate(url string) error {
	m, err := store.NewMigrator(url, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	_, err = m.Up(context.Background(), store.Expand)
	return err
}

// OpenStore opens a store on a database, and closes it with the test.
func OpenStore(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{
		ConnString: func() (string, error) { return url, nil }, MaxConns: 8, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
