package testrig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions chooses how a cluster runs.
type PostgresOptions struct {
	// Durable keeps fsync and synchronous commit on, as in production; off is
	// quicker and right for tests that never cut the power.
	Durable bool
	// Settings are added to the command line, for example
	// {"shared_preload_libraries": "pg_stat_statements"}.
	Settings map[string]string
}

// Postgres is one running cluster.
type Postgres struct {
	Port    int
	Dir     string
	options PostgresOptions
	bin     string
	cmd     *exec.Cmd
	names   atomic.Int64
	mu      sync.Mutex // guards templates
	ready   map[string]bool
}

// StartPostgres makes a new cluster and starts it.
func StartPostgres(options PostgresOptions) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	p := &Postgres{Dir: dir, options: options, bin: bin, ready: map[string]bool{}}
	if p.Port, err = freePort(); err != nil {
		return nil, err
	}
	initdb, err := command(dir, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "englog",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return nil, err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("testrig: initdb: %w: %s", err, out)
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// postgresBin finds the newest server of version 15 or later.
func postgresBin() (string, error) {
	if dir := os.Getenv("ENGLOG_POSTGRES_BIN"); dir != "" {
		return dir, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.Sort(found)
	for _, path := range found {
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); err == nil && v >= 15 {
			return filepath.Dir(path), nil
		}
	}
	return "", fmt.Errorf("testrig: no PostgreSQL 15 or later under /usr/lib/postgresql: install the Debian package postgresql-15, or set ENGLOG_POSTGRES_BIN to a directory that holds initdb and postgres")
}

// Start starts the cluster again on the same port, and waits until it answers.
func (p *Postgres) Start() error {
	args := []string{"-D", filepath.Join(p.Dir, "data"), "-k", p.Dir, "-h", "127.0.0.1", "-p", strconv.Itoa(p.Port),
		"-c", "max_connections=300", "-c", "shared_buffers=128MB", "-c", "max_wal_size=2GB", "-c", "timezone=UTC"}
	if !p.options.Durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for name, value := range p.options.Settings {
		args = append(args, "-c", name+"="+value)
	}
	cmd, err := command(p.Dir, filepath.Join(p.bin, "postgres"), args...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.Dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("testrig: open the server log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := startTied(cmd, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("testrig: start postgres: %w", err)
	}
	p.cmd = cmd
	return p.await()
}

func (p *Postgres) await() error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("testrig: postgres does not answer: %w\n%s", err, tail(filepath.Join(p.Dir, "postgres.log")))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop ends the server: immediate as after a crash, or after open work is done.
func (p *Postgres) Stop(immediate bool) error {
	signal := syscall.SIGINT // "fast" shutdown
	if immediate {
		signal = syscall.SIGQUIT
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("testrig: stop postgres: %w", err)
	}
	_ = p.cmd.Wait()
	return nil
}

// Close stops the server and removes its files.
func (p *Postgres) Close() {
	_ = p.Stop(true)
	_ = os.RemoveAll(p.Dir)
}

// Pid is the process id of the server's first process.
func (p *Postgres) Pid() int { return p.cmd.Process.Pid }

// URL is the connection string of a database of this cluster.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://englog@127.0.0.1:%d/%s?sslmode=disable", p.Port, database)
}

// Exec runs statements against a database, outside any pool.
func (p *Postgres) Exec(database string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return fmt.Errorf("testrig: connect to %s: %w", database, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("testrig: %s: %w", s, err)
		}
	}
	return nil
}

// NewDatabase makes an empty database and returns its URL.
func (p *Postgres) NewDatabase() (string, error) { return p.cloneOf("template0") }

// Clone returns the URL of a new copy of a template. The first call with a name
// makes the template by running fill on an empty database; later calls copy.
func (p *Postgres) Clone(template string, fill func(url string) error) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready[template] {
		if err := p.Exec("postgres", "CREATE DATABASE "+template+" TEMPLATE template0"); err != nil {
			return "", err
		}
		if err := fill(p.URL(template)); err != nil {
			return "", fmt.Errorf("testrig: fill template %s: %w", template, err)
		}
		p.ready[template] = true
	}
	return p.cloneOf(template)
}

func (p *Postgres) cloneOf(template string) (string, error) {
	name := fmt.Sprintf("test_%d", p.names.Add(1))
	if err := p.Exec("postgres", "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return "", err
	}
	return p.URL(name), nil
}
