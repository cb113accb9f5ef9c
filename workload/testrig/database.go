package testrig

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/store"
)

// MigratorVariable names the program whose schema Database gives instead of this
// build's: another release, to prove that this one bears its schema.
const MigratorVariable = "ENGLOG_TEST_MIGRATOR"

// Database returns the URL of a new database with the schema of this build.
func Database(t testing.TB) string {
	t.Helper()
	migrate := Migrate
	if program := os.Getenv(MigratorVariable); program != "" {
		migrate = func(url string) error { return MigrateWith(program, url) }
	}
	url, err := SharedPostgres(t).Clone("migrated", migrate)
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

// MigrateWith brings a database to the schema of another build of englog.
func MigrateWith(program, url string) error {
	up := exec.Command(program, "migrate", "up", "--phase", "expand")
	up.Env = []string{"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + url, "TERMINATION_LOG=" + os.DevNull}
	if out, err := up.CombinedOutput(); err != nil {
		return fmt.Errorf("testrig: migrate with %s: %w\n%s", program, err, out)
	}
	return nil
}

// Build builds englog with the given build tags ("" for none) and returns the
// program's path.
func Build(t testing.TB, tags string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "englog")
	build := exec.Command("go", "build", "-tags", tags, "-o", program, "github.com/garnizeh/englog-operator/cmd/englog")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with tags %q: %v\n%s", tags, err, out)
	}
	return program
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
