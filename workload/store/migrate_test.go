package store_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

func migrator(t *testing.T, url string) *store.Migrator {
	t.Helper()
	m, err := store.NewMigrator(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestMigrateFreshDatabaseThenNothingToDo(t *testing.T) {
	ctx, m := context.Background(), migrator(t, testrig.EmptyDatabase(t))
	plan, err := m.Plan(ctx, store.Expand)
	if err != nil || plan.From != 0 || plan.To != store.Level() || len(plan.Pending) == 0 || plan.Current != 0 {
		t.Fatalf("plan %+v, %v: want all files pending from level 0", plan, err)
	}
	first, err := m.Up(ctx, store.Expand)
	if err != nil || first.Current != store.Level() || first.OldestCompatible != 1 || len(first.Applied) != len(plan.Pending) {
		t.Fatalf("first run %+v, %v: want the planned files applied", first, err)
	}
	again, err := m.Up(ctx, store.Expand)
	if err != nil || len(again.Applied) != 0 || again.From != store.Level() || again.To != store.Level() {
		t.Fatalf("second run %+v, %v: want nothing applied", again, err)
	}
	contract, err := m.Up(ctx, store.Contract)
	if err != nil || len(contract.Applied) != 0 {
		t.Fatalf("contract %+v, %v: want nothing to do", contract, err)
	}
}

func TestMigratorsWaitForEachOther(t *testing.T) {
	url := testrig.EmptyDatabase(t)
	var wg sync.WaitGroup
	applied := make([]int, 3)
	for i := range applied {
		m := migrator(t, url)
		wg.Go(func() {
			r, err := m.Up(context.Background(), store.Expand)
			if err != nil {
				t.Error(err)
			}
			applied[i] = len(r.Applied)
		})
	}
	wg.Wait()
	total := 0
	for _, n := range applied {
		total += n
	}
	files, _ := filepath.Glob("migrations/*.sql")
	if total != len(files) {
		t.Errorf("%v files applied by the three, want %d in all", applied, len(files))
	}
}

func TestSchemaBears(t *testing.T) {
	for _, c := range []struct {
		schema       store.Schema
		level, needs int64
		want         string
	}{
		{store.Schema{Current: 3, OldestCompatible: 1}, 3, 3, ""},
		{store.Schema{Current: 4, OldestCompatible: 1}, 3, 3, ""},
		{store.Schema{Current: 2, OldestCompatible: 1}, 3, 3, "schema_too_old"},
		{store.Schema{}, 3, 3, "schema_too_old"},
		{store.Schema{Current: 5, OldestCompatible: 4}, 3, 3, "schema_too_new"},
		{store.Schema{Current: 5, OldestCompatible: 3}, 3, 3, ""},
	} {
		if got := c.schema.Bears(c.level, c.needs); !strings.HasPrefix(got, c.want) || (c.want == "" && got != "") {
			t.Errorf("%+v for level %d: got %q, want %q", c.schema, c.level, got, c.want)
		}
	}
}

// An expand migration must not take away or rewrite what the release before it uses.
func TestExpandMigrationsOnlyAdd(t *testing.T) {
	banned := regexp.MustCompile(`(?i)\b(DROP|RENAME|TRUNCATE|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE|SET\s+NOT\s+NULL)\b`)
	files, _ := filepath.Glob("migrations/*.sql")
	next, _ := filepath.Glob("migrations/next/*.sql")
	for _, path := range append(files, next...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(raw), "-- +goose Down")
		if !strings.HasPrefix(up, "-- +englog phase=") {
			t.Errorf("%s: the first line must say its phase", path)
		}
		if found := banned.FindString(up); found != "" && strings.HasPrefix(up, "-- +englog phase=expand") {
			t.Errorf("%s: %q does not belong in an expand migration", path, found)
		}
	}
}

// The next release's migration runs on a database in use, and this release's
// program then goes on: its queries are prepared again on the new schema.
func TestNextReleaseOnThisDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a second program")
	}
	url := testrig.Database(t)
	bin := filepath.Join(t.TempDir(), "englog")
	build := exec.Command("go", "build", "-tags", "nextrelease", "-o", bin, "github.com/garnizeh/englog-operator/cmd/englog")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	up := exec.Command(bin, "migrate", "up", "--phase", "expand")
	up.Env = append(os.Environ(), "DATABASE_URL="+url)
	if out, err := up.CombinedOutput(); err != nil || !strings.Contains(string(out), `"to":100`) {
		t.Fatalf("the next release's migration: %v\n%s", err, out)
	}
	r, err := migrator(t, url).Up(context.Background(), store.Expand)
	if err != nil || r.Current != 100 || len(r.Applied) != 0 {
		t.Fatalf("this release on a newer database: %+v, %v; want nothing to do", r, err)
	}
	store.CheckQueries(t, url)
}
