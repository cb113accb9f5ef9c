package check

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/garnizeh/englog-operator/workload/testrig"
)

// roomFor skips a test that builds another program where only quick tests run.
func roomFor(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	t.Parallel()
}

func stores(t *testing.T) []string {
	t.Helper()
	return []string{"DATABASE_URL=" + testrig.Database(t), "REDIS_URL=" + testrig.SharedRedis(t).URL(), "ENGLOG_INSTANCE=check." + uuid.NewString()}
}

// A release that never gets ready says so for as long as it lives, and lives.
func TestTheReleaseThatNeverGetsReady(t *testing.T) {
	roomFor(t)
	program, env := testrig.Build(t, "badrelease_unready"), stores(t)
	for _, role := range []string{"api", "worker"} {
		p := serveRole(t, program, role, env...)
		if why := p.awaitReady(503); !strings.Contains(why, `"not_ready"`) {
			t.Errorf("%s: %s", role, why)
		}
		p.await("the other checks", func() bool { return !strings.Contains(p.awaitReady(503), "start:") })
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			r := p.ask("GET", p.admin+"/readyz", "", nil)
			if r.Status != 503 || !strings.Contains(r.Body, "release: this release never gets ready") {
				t.Fatalf("%s: /readyz %d %s", role, r.Status, r.Body)
			}
			if live := p.ask("GET", p.admin+"/livez", "", nil); live.Status != 200 {
				t.Fatalf("%s: /livez %d", role, live.Status)
			}
		}
		if role == "api" {
			if r := p.ask("GET", p.public+"/ready", "", nil); r.Status != 503 || strings.Contains(r.Body, "release") {
				t.Errorf("/ready %d %s", r.Status, r.Body)
			}
		}
		if code := p.stop(); code != 0 {
			t.Errorf("%s: exit code %d\n%s", role, code, p.logs)
		}
	}
}

// A release that fails every request is ready all the same: only requests tell.
func TestTheReleaseThatAnswers500(t *testing.T) {
	roomFor(t)
	p := serveRole(t, testrig.Build(t, "badrelease_500"), "api", stores(t)...)
	p.awaitReady(200)
	for _, c := range [][2]string{{"GET", "/capabilities"}, {"POST", "/auth/login"}, {"GET", "/entries"}, {"GET", "/nothing"}} {
		if r := p.ask(c[0], p.public+"/api/v1"+c[1], "", nil); r.Status != 500 || r.Header.Get("X-Englog-Revision") != "rev-of-test" {
			t.Errorf("%s %s: %d %v", c[0], c[1], r.Status, r.Header)
		}
	}
	if r := p.ask("GET", p.public+"/health", "", nil); r.Status != 200 {
		t.Errorf("/health %d %s", r.Status, r.Body)
	}
	p.awaitReady(200)
}

// The next release on the schema of this one waits, without falling over, until its migration has run; then both serve the same data.
func TestTheNextReleaseOnThisSchema(t *testing.T) {
	roomFor(t)
	next, env := testrig.Build(t, "nextrelease"), stores(t)
	database := strings.TrimPrefix(env[0], "DATABASE_URL=")
	api, worker := serveRole(t, next, "api", env...), serveRole(t, next, "worker", env...)
	for _, p := range []*process{api, worker} {
		p.await("the reason", func() bool { return strings.Contains(p.awaitReady(503), "schema_too_old") })
		if !p.alive() || p.ask("GET", p.admin+"/livez", "", nil).Status != 200 {
			t.Fatalf("it fell over\n%s", p.logs)
		}
	}
	this := serveRole(t, testrig.Build(t, ""), "api", env...)
	this.awaitReady(200)
	user := map[string]any{"email": uuid.NewString() + "@example.com", "name": "Ada", "password": "correct horse battery staple"}
	token := this.api(201, "POST", "/auth/register", "", user).text("access_token")
	old := this.api(201, "POST", "/entries", token, map[string]any{"body": "Written before the migration, in seven words."})

	if err := testrig.MigrateWith(next, database); err != nil {
		t.Fatal(err)
	}
	api.awaitReady(200)
	worker.awaitReady(200)
	this.awaitReady(200) // the schema bears this release too
	for _, p := range []*process{this, api} {
		made := p.api(201, "POST", "/entries", token, map[string]any{"body": "Written after the migration."})
		edited := p.api(200, "PUT", "/entries/"+old.text("id"), token, map[string]any{"body": "Edited after the migration."}, "If-Match", p.etag(old.text("id"), token))
		if edited.JSON["version"] == 1.0 {
			t.Errorf("edited %s", edited.Body)
		}
		for _, reader := range []*process{this, api} {
			if r := reader.api(200, "GET", "/entries/"+made.text("id"), token, nil); r.text("body") != "Written after the migration." || (r.JSON["reading_minutes"] != nil) != (reader == api) {
				t.Errorf("read %s", r.Body)
			}
			reader.await("the analysis", func() bool {
				return len(reader.api(200, "GET", "/entries/"+made.text("id")+"/insights", token, nil).items()) == 6
			})
		}
	}
	if n := len(this.api(200, "GET", "/entries", token, nil).items()); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

func (p *process) etag(id, token string) string {
	return p.api(200, "GET", "/entries/"+id, token, nil).Header.Get("ETag")
}

// Every journey of this release passes on the schema of the next one: the scenarios run again, on databases that the next release's
// program migrated.
func TestEveryJourneyOnTheNextSchema(t *testing.T) {
	roomFor(t)
	program := t.TempDir() + "/scenarios"
	if out, err := exec.Command("go", "test", "-c", "-o", program, "github.com/garnizeh/englog-operator/workload/testrig/scenario").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(program, "-test.v", "-test.timeout=5m", "-test.skip=Fuzz|OtherPods|WithoutRedis")
	run.Env = append(os.Environ(), testrig.MigratorVariable+"="+testrig.Build(t, "nextrelease"))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, journey := range []string{"TestLoginByCode", "TestAnEntryFromWritingToDeletion", "TestSearchRanksAndHighlights", "TestTrends", "TestADraftFromAPrompt",
		"TestAProviderThatIsAwayCostsNothing", "TestAFailedTaskIsListedAndRunAgain", "TestSessionsAndRefresh"} {
		if !strings.Contains(string(out), "--- PASS: "+journey+" ") {
			t.Errorf("%s did not run", journey)
		}
	}
}
