package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

const (
	database = "englog"
	password = "a password of a benchmark"
)

// newBench builds the service, migrates and fills a database, starts the API and logs its clients in.
func newBench(s settings, postgres *testrig.Postgres, redis *testrig.Redis) (*bench, error) {
	if err := postgres.Exec("postgres", "CREATE DATABASE "+database); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "englog-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	b := &bench{settings: s, postgres: postgres, dir: dir, binary: filepath.Join(dir, "englog")}
	if b.sink, err = startSink(); err != nil {
		return nil, err
	}
	if err := build(b.binary, "", "github.com/garnizeh/englog-operator/cmd/englog"); err != nil {
		return nil, err
	}
	b.env = append(os.Environ(), "ENVIRONMENT=production", "DATABASE_URL="+postgres.URL(database), "REDIS_URL="+redis.URL(), "JWT_SECRET="+key,
		"RATE_LIMIT_RPS=10000", "DB_MAX_CONNS=8", "OTEL_EXPORTER_OTLP_ENDPOINT="+b.sink.url, "OTEL_TRACES_SAMPLER_ARG=0.01",
		"TERMINATION_LOG="+filepath.Join(dir, "termination"), "DRAIN_DELAY=0s", "DRAIN_TIMEOUT=1s")
	migrate := exec.Command(b.binary, "migrate", "up", "--phase", "expand")
	migrate.Env = b.env
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w: %s", err, out)
	}
	if err := seed(postgres, s.entries); err != nil {
		return nil, err
	}
	if b.api, err = b.start(); err != nil {
		return nil, err
	}
	return b, b.loginClients()
}

// build compiles a package of the module in dir.
func build(binary, dir, pkg string) error {
	cmd := exec.Command("go", "build", "-o", binary, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return nil
}

func (b *bench) close() error {
	if b.api != nil {
		b.api.stop()
	}
	b.sink.close()
	return os.RemoveAll(b.dir)
}

// process is the API as it is shipped, in a process of its own.
type process struct {
	cmd         *exec.Cmd
	port, admin int
}

func (b *bench) start() (*process, error) {
	p := &process{}
	var err1, err2 error
	p.port, err1 = freePort()
	p.admin, err2 = freePort()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(b.binary, "api")
	p.cmd.Env = slices.Concat(b.env, []string{fmt.Sprintf("PORT=%d", p.port), fmt.Sprintf("ADMIN_PORT=%d", p.admin)})
	p.cmd.Stderr, p.cmd.Stdout = os.Stderr, os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the API: %w", err)
	}
	return p, p.await()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // a TCP listener has a TCP address
}

func (p *process) await() error {
	for range 200 {
		if p.ready() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the API does not get ready")
}

func (p *process) ready() bool {
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", p.admin))
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpuSeconds is the processor time of the process so far, from /proc.
func (p *process) cpuSeconds() float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// residentMB is the memory of the process, from /proc: all of it (VmRSS), or the part that is its own and no file's (RssAnon).
func (p *process) residentMB(which string) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for _, line := range strings.Split(string(raw), "\n") {
		var kb float64
		if n, _ := fmt.Sscanf(line, which+": %f kB", &kb); n == 1 {
			return kb / 1000
		}
	}
	return 0
}

// measureMemory looks at a fresh process that is only asked whether it is ready, as a kubelet does.
func (b *bench) measureMemory(r result) error {
	p, err := b.start()
	if err != nil {
		return err
	}
	defer p.stop()
	for range 10 {
		time.Sleep(time.Second)
		if !p.ready() {
			return fmt.Errorf("the idle API is not ready")
		}
	}
	all, own := p.residentMB("VmRSS"), p.residentMB("RssAnon")
	r["idle_rss_mb"], r["idle_rss_own_mb"] = round(all), round(own)
	fmt.Printf("idle API: %.1f MB resident after 10 s, of which %.1f MB are pages of the program file\n", all, all-own)
	return nil
}

// seed fills the database: users with one password, entries of ten sentences with a word to search for.
func seed(p *testrig.Postgres, entries int) error {
	passwords, err := auth.NewPasswords(1, 0)
	if err != nil {
		return err
	}
	hash, err := passwords.Hash(context.Background(), password)
	if err != nil {
		return err
	}
	return p.Exec(database, "CREATE EXTENSION pg_stat_statements",
		fmt.Sprintf(`INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
			SELECT `+fmt.Sprintf(userID, "m")+`, 'user' || m || '@example.com', 'User', '%s', now(), now() FROM generate_series(0, %d) m`, hash, users-1),
		fmt.Sprintf(`INSERT INTO entries (id, user_id, version, title, body, kind, project, impact, duration_minutes, mood, tags, source, word_count,
			occurred_at, created_at, updated_at)
			SELECT `+fmt.Sprintf(entryID, "n")+`, `+fmt.Sprintf(userID, "(n %% %d)")+`, 1, 'A title ' || n, `+text+` || (ARRAY['%s'])[1 + (n / %d) %% %d],
			'note', '', '', 0, 5, ARRAY['go'], 'session', 100, now() - n * interval '1 second', now(), now() FROM generate_series(0, %d) n`,
			users, strings.Join(words, "','"), users, len(words), entries-1),
		"VACUUM (ANALYZE) entries", "VACUUM (ANALYZE) users", "CHECKPOINT")
}

func loginBody(user int) string {
	return fmt.Sprintf(`{"email":"user%d@example.com","password":"%s"}`, user, password)
}

// loginClients gets access tokens; they live for 15 minutes.
func (b *bench) loginClients() error {
	b.tokens = b.tokens[:0]
	for m := range clients {
		answer, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/api/v1/auth/login", b.api.port), "application/json", strings.NewReader(loginBody(m)))
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		var tokens struct {
			Access string `json:"access_token"`
		}
		err = json.NewDecoder(answer.Body).Decode(&tokens)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("log in: status %d", answer.StatusCode), err)
		}
		b.tokens = append(b.tokens, tokens.Access)
	}
	return nil
}

// sink is a collector that throws traces away.
type sink struct {
	url    string
	server *http.Server
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for traces: %w", err)
	}
	s := &sink{url: "http://" + l.Addr().String(), server: &http.Server{ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

func (s *sink) close() { _ = s.server.Close() }
