package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

// The API starts its own program to hash passwords: here that is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == hasherCommand {
		os.Exit(hashPasswords(os.Stdout, os.Stderr))
	}
	testrig.Main(m)
}

func runCommand(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr, termination string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "termination-log")
	t.Setenv("TERMINATION_LOG", file)
	for name, value := range env {
		t.Setenv(name, value)
	}
	var out, complaints bytes.Buffer
	code = command(context.Background(), args, &out, &complaints)
	raw, _ := os.ReadFile(file)
	return code, out.String(), complaints.String(), string(raw)
}

func TestMigrateTellsInJSON(t *testing.T) {
	url := testrig.EmptyDatabase(t)
	for i, c := range []struct {
		env     map[string]string
		args    []string
		code    int
		applied bool
		says    string
	}{
		{map[string]string{"DATABASE_URL": url}, []string{"migrate", "plan", "--phase", "expand"}, 0, false, `"current":0`},
		{map[string]string{"DATABASE_URL": url}, []string{"migrate", "up", "--phase", "expand"}, 0, true, `"error":""`},
		{map[string]string{"DATABASE_URL": url}, []string{"migrate", "up", "--phase", "expand"}, 0, false, `"pending":[]`},
		{map[string]string{"DATABASE_URL": url}, []string{"migrate", "up", "--phase", "contract"}, 0, false, `"destructive":false`},
		{map[string]string{"DATABASE_URL": "postgres://nobody:hidden@127.0.0.1:1/x?connect_timeout=2"}, []string{"migrate", "up"}, 1, false, "failed to connect"},
		{map[string]string{"DATABASE_URL": ""}, []string{"migrate", "up"}, 1, false, "DATABASE_URL: it is not set"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			code, stdout, _, termination := runCommand(t, c.env, c.args...)
			var result struct{ Applied []string }
			if err := json.Unmarshal([]byte(stdout), &result); err != nil || termination != strings.TrimSpace(stdout) {
				t.Fatalf("stdout %q, termination log %q, %v", stdout, termination, err)
			}
			if code != c.code || (len(result.Applied) > 0) != c.applied || !strings.Contains(stdout, c.says) || strings.Contains(stdout, "hidden") {
				t.Errorf("code %d, %s", code, stdout)
			}
		})
	}
}

func TestWrongUseIsToldAtOnce(t *testing.T) {
	for _, args := range [][]string{nil, {"serve"}, {"migrate"}, {"migrate", "down"}, {"migrate", "up", "--phase", "sideways"}, {"api", "--verbose"}} {
		if code, _, stderr, _ := runCommand(t, nil, args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr, termination := runCommand(t, map[string]string{"PORT": "abc"}, "api"); code != exitFailed || !strings.Contains(stderr, "PORT: ") || !strings.Contains(termination, "JWT_SECRET: ") {
		t.Errorf("code %d, stderr %q, termination %q", code, stderr, termination)
	}
}

// A frontend without its key would seal cookies that anybody could open: it does not start, and says what to do.
func TestAFrontendNeedsItsKey(t *testing.T) {
	for name, value := range map[string]string{"": "it is not set or empty: set at least 32 random bytes", "too short": "it has 9 bytes: set at least 32"} {
		code, _, stderr, termination := runCommand(t, map[string]string{"API_URL": "http://127.0.0.1:1", "SESSION_KEY": name}, "frontend")
		if code != exitFailed || !strings.Contains(stderr, "SESSION_KEY: "+value) || !strings.Contains(termination, "SESSION_KEY: ") {
			t.Errorf("key %q: code %d, %s, termination log %s", name, code, stderr, termination)
		}
	}
}

func TestHealthChecks(t *testing.T) {
	good := map[string]string{"DATABASE_URL": testrig.Database(t), "REDIS_URL": testrig.SharedRedis(t).URL(), "JWT_SECRET": strings.Repeat("k", 32)}
	for name, c := range map[string]struct {
		role, variable, value string
		code                  int
	}{
		"worker":                  {"worker", "", "", 0},
		"worker without Redis":    {"worker", "REDIS_URL", "redis://127.0.0.1:1", 1},
		"worker without database": {"worker", "DATABASE_URL", "postgres://127.0.0.1:1/x", 1},
		"worker on an old schema": {"worker", "DATABASE_URL", testrig.EmptyDatabase(t), 1},
		"worker without its AI":   {"worker", "OLLAMA_ENDPOINT", "http://127.0.0.1:1", 0},
		"api":                     {"api", "", "", 0},
		"api without Redis":       {"api", "REDIS_URL", "redis://127.0.0.1:1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range good {
				t.Setenv(key, value)
			}
			if c.variable != "" {
				t.Setenv(c.variable, c.value)
			}
			code, stdout, stderr, termination := runCommand(t, nil, c.role, "--health-check")
			if code != c.code || strings.Count(stdout, "\n") != 1 || termination != strings.TrimSpace(stdout) {
				t.Errorf("code %d, want %d: %s%s", code, c.code, stdout, stderr)
			}
		})
	}
}

// A Redis that evicts is a warning, and no reason to stay away.
func TestHealthCheckWarnsOfEviction(t *testing.T) {
	server := testrig.NewRedis(t)
	for name, value := range map[string]string{"DATABASE_URL": testrig.Database(t), "REDIS_URL": server.URL()} {
		t.Setenv(name, value)
	}
	for _, c := range []struct {
		word, value, want string
	}{
		{"maxmemory-policy", "noeviction", ""},
		{"maxmemory-policy", "allkeys-lru", `"warnings":["Redis may evict keys, because its maxmemory-policy is allkeys-lru: set it to noeviction"]`},
	} {
		if _, err := server.Do("CONFIG", "SET", c.word, c.value); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr, _ := runCommand(t, nil, "worker", "--health-check")
		if code != exitOK || !strings.Contains(stdout, c.want) || strings.Contains(stdout, "warnings") != (c.want != "") {
			t.Errorf("%s %s: code %d: %s%s", c.word, c.value, code, stdout, stderr)
		}
	}
	if _, err := server.Do("ACL", "SETUSER", "default", "-info"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr, _ := runCommand(t, nil, "worker", "--health-check"); code != exitOK || !strings.Contains(stdout, "will not say whether it may evict") {
		t.Errorf("without INFO: code %d: %s%s", code, stdout, stderr)
	}
}

// X12: an answer about a draft goes out before the server would cut it off.
func TestADraftIsAwaitedNoLongerThanAnAnswerMayTake(t *testing.T) {
	for _, c := range []struct{ ai, write, want time.Duration }{
		{30 * time.Second, 60 * time.Second, 35 * time.Second}, {30 * time.Second, 30 * time.Second, 28 * time.Second}, {time.Minute, time.Second, time.Second},
	} {
		if got := draftPatience(config.Config{WriteTimeout: c.write, AI: config.AI{Timeout: c.ai}}); got != c.want {
			t.Errorf("AI_TIMEOUT %s, WRITE_TIMEOUT %s: %s, want %s", c.ai, c.write, got, c.want)
		}
	}
}

// All roles in one process, as a developer starts them.
func TestDevServesAndStops(t *testing.T) {
	port, admin := freePort(t), freePort(t)
	for name, value := range map[string]string{"DATABASE_URL": testrig.EmptyDatabase(t), "REDIS_URL": testrig.SharedRedis(t).URL(), "LOG_LEVEL": "error",
		"JWT_SECRET": strings.Repeat("k", 32), "PORT": fmt.Sprint(port), "ADMIN_PORT": fmt.Sprint(admin), "DRAIN_DELAY": "0s", "DRAIN_TIMEOUT": "1s"} {
		t.Setenv(name, value)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- command(ctx, []string{"dev"}, io.Discard, os.Stderr) }()
	for _, url := range []string{fmt.Sprintf("http://127.0.0.1:%d/api/v1/capabilities", port), fmt.Sprintf("http://127.0.0.1:%d/login", port+1), fmt.Sprintf("http://127.0.0.1:%d/docs", port)} {
		deadline := time.Now().Add(20 * time.Second)
		for {
			answer, err := http.Get(url)
			if err == nil {
				answer.Body.Close()
				if answer.StatusCode == 200 {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not answer: %v", url, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not stop")
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1)); err == nil && port < 60000 {
			next.Close()
			return port
		}
	}
	t.Fatal("no two free ports")
	return 0
}
