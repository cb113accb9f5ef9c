package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// keys are the files of signing keys that one process sees; an empty one does not exist.
type keys struct{ current, previous, next string }

// A color is one API process with a Secret of its own: while the kubelet brings a changed Secret to the pods, they see different files.
type color struct {
	*program
	admin int
	dir   string
}

func startColor(t *testing.T, name, database, redis string, k keys) *color {
	t.Helper()
	c := &color{program: &program{t: t, role: "api", port: freePort(t)}, admin: freePort(t), dir: t.TempDir()}
	c.mount(k)
	c.env = []string{"PATH=" + os.Getenv("PATH"), "ENVIRONMENT=development", "LOG_LEVEL=error", "PORT=" + strconv.Itoa(c.port),
		"ADMIN_PORT=" + strconv.Itoa(c.admin), "DATABASE_URL=" + database, "REDIS_URL=" + redis, "ENGLOG_INSTANCE=check.rotation", "ENGLOG_COLOR=" + name,
		"JWT_SECRET_FILE=" + filepath.Join(c.dir, "current"), "JWT_SECRET_PREVIOUS_FILE=" + filepath.Join(c.dir, "previous"),
		"JWT_SECRET_NEXT_FILE=" + filepath.Join(c.dir, "next"), "RATE_LIMIT_RPS=100000", "REGISTRATION=open", "TERMINATION_LOG=" + os.DevNull, "DRAIN_DELAY=0s"}
	c.start()
	t.Cleanup(c.kill)
	c.await(k)
	return c
}

// mount changes the files, each at once.
func (c *color) mount(k keys) {
	c.t.Helper()
	for name, key := range map[string]string{"next": k.next, "previous": k.previous, "current": k.current} {
		file := filepath.Join(c.dir, name)
		if key == "" {
			if err := os.RemoveAll(file); err != nil {
				c.t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file+".new", []byte(key), 0o600); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			c.t.Fatal(err)
		}
	}
}

// await returns when the process accepts what its files say.
func (c *color) await(k keys) {
	c.t.Helper()
	var want, got []string
	for _, key := range []string{k.current, k.previous, k.next} {
		if key != "" {
			want = append(want, auth.KeyID(key))
		}
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var status struct {
			JWTKeyIDs []string `json:"jwtKeyIds"`
		}
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/status", c.admin))
		if err != nil {
			continue
		}
		err = json.NewDecoder(response.Body).Decode(&status)
		response.Body.Close()
		if got = status.JWTKeyIDs; err == nil && slices.Equal(got, want) {
			return
		}
	}
	c.t.Fatalf("the process accepts %v, want %v", got, want)
}

// sign registers a user, which no throttle of one account slows down, and returns the access token.
func (c *color) sign() string {
	c.t.Helper()
	body, _ := json.Marshal(map[string]string{"email": uuid.NewString() + "@example.org", "name": "Rot", "password": "correct horse battery"})
	response, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/api/v1/auth/register", c.port), "application/json", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil || out.Token == "" {
		c.t.Fatalf("register: status %d, %v", response.StatusCode, err)
	}
	return out.Token
}

// accepts returns the status of a read with a token.
func (c *color) accepts(token string) int {
	c.t.Helper()
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/v1/entries?limit=1", c.port), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// A key is rotated as the how-to says, through a cutover and back: whoever signed a token, both colors accept it all the time. A key that
// is changed without being announced is not accepted, so the test would see it.
func TestNo401WhileASigningKeyIsRotated(t *testing.T) {
	binary = filepath.Join(t.TempDir(), "englog")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/englog").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	old, announced, rotated, done := keys{current: a}, keys{current: a, next: b}, keys{current: b, previous: a}, keys{current: b}
	database, redis := testrig.Database(t), testrig.SharedRedis(t).URL()
	blue := startColor(t, "blue", database, redis, old)
	tokens := map[string]string{"blue, before": blue.sign()}
	unused := blue.sign() // what an API has accepted it believes for some seconds
	green := startColor(t, "green", database, redis, announced)
	for _, phase := range []struct {
		name        string
		blue, green keys
	}{
		{"green is the candidate and has the announced key, blue has not seen it", old, announced},
		{"both have the announced key", announced, announced},
		{"green is the candidate and signs with it, blue has not seen that", announced, rotated},
		{"both sign with it", rotated, rotated},
		{"rolled back, and the Secret too: green has not seen that", announced, rotated},
		{"rolled back, blue has not seen the old Secret again", rotated, announced},
		{"both sign with the old key again", announced, announced},
		{"again the cutover: both sign with the new key", rotated, rotated},
	} {
		blue.mount(phase.blue)
		green.mount(phase.green)
		blue.await(phase.blue)
		green.await(phase.green)
		tokens["blue, "+phase.name], tokens["green, "+phase.name] = blue.sign(), green.sign()
		for signed, token := range tokens {
			if x, y := blue.accepts(token), green.accepts(token); x != http.StatusOK || y != http.StatusOK {
				t.Errorf("%s: a token of %q gets %d from blue and %d from green", phase.name, signed, x, y)
			}
		}
	}
	green.mount(done)
	green.await(done)
	if status := green.accepts(unused); status != http.StatusUnauthorized {
		t.Errorf("a token of the removed key gets %d", status)
	}
	if status := blue.accepts(green.sign()); status != http.StatusOK {
		t.Errorf("a token of the new key gets %d from blue", status)
	}
}
