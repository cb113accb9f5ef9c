package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/testrig"
)

const (
	database = "englog"
	password = "a password of a benchmark"
)

// service is the API as it is shipped, in a process of its own.
type service struct {
	cmd    *exec.Cmd
	dir    string
	port   int
	tokens []string
}

func startService(p *testrig.Postgres, r *testrig.Redis) (*service, error) {
	if err := p.Exec("postgres", "CREATE DATABASE "+database); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "englog-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	s := &service{dir: dir, port: 20000 + os.Getpid()%20000}
	bin := filepath.Join(dir, "englog")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/garnizeh/englog-operator/cmd/englog").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the service: %w: %s", err, out)
	}
	env := append(os.Environ(), "DATABASE_URL="+p.URL(database), "REDIS_URL="+r.URL(), "JWT_SECRET="+key, "LOG_LEVEL=warn",
		"RATE_LIMIT_RPS=1000000", "DB_MAX_CONNS=8", fmt.Sprintf("PORT=%d", s.port), fmt.Sprintf("ADMIN_PORT=%d", s.port+1), "DRAIN_DELAY=0s", "DRAIN_TIMEOUT=1s")
	migrate := exec.Command(bin, "migrate", "up", "--phase", "expand")
	migrate.Env = env
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w: %s", err, out)
	}
	s.cmd = exec.Command(bin, "api")
	s.cmd.Env, s.cmd.Stderr, s.cmd.Stdout = env, os.Stderr, os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the API: %w", err)
	}
	return s, s.await()
}

func (s *service) await() error {
	for range 200 {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", s.port+1))
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the API does not get ready")
}

func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// seed fills the database: users with one password, entries of ten sentences
// with a word to search for.
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

func (s *service) login() error {
	for m := range clients {
		body := fmt.Sprintf(`{"email":"user%d@example.com","password":"%s"}`, m, password)
		answer, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/api/v1/auth/login", s.port), "application/json", strings.NewReader(body))
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
		s.tokens = append(s.tokens, tokens.Access)
	}
	return nil
}

// load is what a run of requests gave.
type load struct {
	requests int
	p50, p99 time.Duration
}

// run sends requests on every connection, one after the other, for a while. Any
// status but the right one fails the run.
func run(s *service, op operation, set settings) (load, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	end := time.Now().Add(set.each)
	for i := range set.connections {
		wg.Go(func() {
			took, err := s.client(op, i, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	if failed != nil || len(all) == 0 {
		return load{}, fmt.Errorf("%s: %w", op.name, failed)
	}
	slices.Sort(all)
	return load{len(all), all[len(all)/2], all[len(all)*99/100]}, nil
}

// client speaks HTTP by hand: on two cores a full client would take more than
// the server.
func (s *service) client(op operation, seed int, end time.Time) (took []time.Duration, err error) {
	r := rand.New(rand.NewPCG(uint64(seed), uint64(time.Now().UnixNano())))
	var conn net.Conn
	var reader *bufio.Reader
	want := []byte(strconv.Itoa(op.status))
	for time.Now().Before(end) {
		if conn == nil {
			if conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port)); err != nil {
				return took, err
			}
			reader = bufio.NewReaderSize(conn, 64<<10)
		}
		m := r.IntN(clients)
		start := time.Now()
		if _, err := io.WriteString(conn, op.request(r, s.tokens[m], m)); err != nil {
			return took, err
		}
		closes, err := readAnswer(reader, want)
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
		if closes {
			_ = conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
	return took, nil
}

func readAnswer(r *bufio.Reader, want []byte) (closes bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	if !bytes.HasPrefix(line[9:], want) {
		return false, fmt.Errorf("answer %s", bytes.TrimSpace(line))
	}
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		switch {
		case len(line) <= 2:
			if chunked {
				return closes, skipChunks(r)
			}
			_, err := r.Discard(length)
			return closes, err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			length, _ = strconv.Atoi(string(bytes.TrimSpace(line[16:])))
		case bytes.HasPrefix(line, []byte("Transfer-Encoding: chunked")):
			chunked = true
		case bytes.HasPrefix(line, []byte("Connection: close")):
			closes = true
		}
	}
}

func skipChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := r.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}

// countCalls is how many statements about entries ran so far, by the reference
// and by the service; looks at tokens and at the schema do not count.
func countCalls(p *testrig.Postgres) (n int64, err error) {
	conn, err := pgx.Connect(context.Background(), p.URL(database))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	err = conn.QueryRow(context.Background(), `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
		WHERE query LIKE '%entries%' AND query NOT LIKE '%pg_stat_statements%'`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count statements: %w", err)
	}
	return n, nil
}

// cpuSeconds is the processor time of a process, from /proc.
func cpuSeconds(pid int) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
