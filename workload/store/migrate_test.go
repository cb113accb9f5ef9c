package store_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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
	files, _ := filepath.Glob("migrations/*.sql")
	next, _ := filepath.Glob("migrations/*/*.sql")
	for _, path := range append(files, next...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw), "-- +englog phase=") {
			t.Errorf("%s: the first line must say its phase", path)
		}
		if found := store.TakesAway(string(raw)); found != "" && strings.HasPrefix(string(raw), "-- +englog phase=expand") {
			t.Errorf("%s: %q does not belong in an expand migration", path, found)
		}
	}
}

func TestTakesAway(t *testing.T) {
	for statements, want := range map[string]string{
		"ALTER TABLE entries ADD COLUMN x integer NOT NULL DEFAULT 0;":                    "",
		"CREATE TABLE a (b uuid REFERENCES c ON DELETE CASCADE);":                         "",
		"-- it would DROP nothing\nCREATE INDEX i ON entries (id);":                       "",
		"CREATE TABLE a (b int);\n-- +goose Down\nDROP TABLE a;":                          "",
		"ALTER TABLE entries DROP COLUMN x;":                                              "DROP",
		"delete from entries where deleted;":                                              "delete from",
		"ALTER TABLE entries ALTER COLUMN kind TYPE integer USING kind::integer;":         "ALTER COLUMN kind TYPE",
		"ALTER TABLE entries ALTER COLUMN kind SET NOT NULL;":                             "SET NOT NULL",
		"ALTER TABLE entries RENAME COLUMN a TO b;\n-- +goose Down\nALTER TABLE x ADD y;": "RENAME",
		"TRUNCATE tasks;": "TRUNCATE",
	} {
		if got := store.TakesAway(statements); got != want {
			t.Errorf("%q takes away %q, want %q", statements, got, want)
		}
	}
}

// release builds the program with tags.
func release(t *testing.T, tags string) (run func(url string, args ...string) (code int, said string)) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a second program")
	}
	bin := filepath.Join(t.TempDir(), "englog")
	build := exec.Command("go", "build", "-tags", tags, "-o", bin, "github.com/garnizeh/englog-operator/cmd/englog")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return func(url string, args ...string) (int, string) {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "TERMINATION_LOG="+filepath.Join(t.TempDir(), "log"))
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
}

// The next release's migration runs on a database in use, and this release's
// program then goes on: its queries are prepared again on the new schema.
func TestNextReleaseOnThisDatabase(t *testing.T) {
	run, url := release(t, "nextrelease"), testrig.Database(t)
	if code, out := run(url, "migrate", "up", "--phase", "expand"); code != 0 || !strings.Contains(out, `"to":100`) {
		t.Fatalf("the next release's migration: %d\n%s", code, out)
	}
	r, err := migrator(t, url).Up(context.Background(), store.Expand)
	if err != nil || r.Current != 100 || len(r.Applied) != 0 {
		t.Fatalf("this release on a newer database: %+v, %v; want nothing to do", r, err)
	}
	store.CheckQueries(t, url)
}

// A contract waits for its expand, for an approval and for the end of every
// older program, and then locks older programs out.
func TestContractIsRefusedUntilItMayRun(t *testing.T) {
	const file = "0101_reading_minutes_without_default.sql"
	ctx, run, url := context.Background(), release(t, "nextrelease contractrelease"), testrig.Database(t)
	db := testrig.OpenStore(t, url)
	alive := func(level int64) {
		t.Helper()
		if err := db.Heartbeat(ctx, store.Instance{ID: "older", Role: "api", Color: "blue", Revision: "r", Version: "1.0.0", Level: level}); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name   string
		before func()
		args   []string
		code   int
		says   []string
	}{
		{"the plan of the expand takes nothing away", nil, []string{"plan", "--phase", "expand"}, 0, []string{`"destructive":false`, `"approve":""`, `"pending":["0100_`, `"to":100`}},
		{"the plan of the contract does", nil, []string{"plan", "--phase", "contract"}, 0, []string{`"destructive":true`, `"approve":"` + file, `"pending":["` + file, `"refused":false`}},
		{"no contract before its expand", nil, []string{"up", "--phase", "contract", "--approve", file}, 3, []string{`"refused":true`, "run the expand phase first"}},
		{"the expand", nil, []string{"up", "--phase", "expand"}, 0, []string{`"applied":["0100_`, `"oldestCompatible":1`}},
		{"nobody has approved it", nil, []string{"up", "--phase", "contract"}, 4, []string{`"refused":true,"unapproved":true`, `"destructive":true`, `"applied":[]`, "--approve " + file}},
		{"another was approved", nil, []string{"up", "--phase", "contract", "--approve", "0099_older.sql"}, 4, []string{`"refused":true`, `"applied":[]`}},
		{"an older program is alive", func() { alive(2) }, []string{"up", "--phase", "contract", "--approve", file}, 3, []string{`"refused":true,"unapproved":false`, "instance older of version 1.0.0 is alive", `"applied":[]`}},
		{"it was replaced by a newer one", func() { alive(100) }, []string{"up", "--phase", "contract", "--approve", file}, 0, []string{`"applied":["` + file, `"oldestCompatible":100`, `"refused":false`}},
		{"nothing is left to do", nil, []string{"up", "--phase", "contract"}, 0, []string{`"destructive":false`, `"applied":[]`, `"oldestCompatible":100`}},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		code, out := run(url, append([]string{"migrate"}, step.args...)...)
		if code != step.code {
			t.Fatalf("%s: exit code %d, want %d: %s", step.name, code, step.code, out)
		}
		for _, say := range step.says {
			if !strings.Contains(out, say) {
				t.Errorf("%s: %s is not in %s", step.name, say, out)
			}
		}
	}
	r, err := migrator(t, url).Up(ctx, store.Expand)
	if err != nil || r.OldestCompatible != 100 {
		t.Fatalf("this release's migrator on a contracted database: %+v, %v; want nothing to do", r, err)
	}
	if why := (store.Schema{Current: r.Current, OldestCompatible: r.OldestCompatible}).Bears(store.Level(), store.Level()); !strings.HasPrefix(why, "schema_too_new") {
		t.Errorf("this release would serve on a contracted database: %q", why)
	}
}

// A fresh database has nothing to lose: both phases run at once, unasked.
func TestContractOnAFreshDatabaseNeedsNoApproval(t *testing.T) {
	run, url := release(t, "nextrelease contractrelease"), testrig.EmptyDatabase(t)
	if code, out := run(url, "migrate", "up", "--phase", "contract"); code != 3 || !strings.Contains(out, "run the expand phase first") {
		t.Fatalf("the contract on a fresh database: %d %s", code, out)
	}
	if code, out := run(url, "migrate", "up", "--phase", "expand"); code != 0 || !strings.Contains(out, `"oldestCompatible":100`) || !strings.Contains(out, "0101_") {
		t.Fatalf("the expand on a fresh database: %d %s", code, out)
	}
}
