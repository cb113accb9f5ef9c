package testrig

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Redis is one running server. It keeps nothing on disk: a restart is a wipe.
type Redis struct {
	Port int
	// TLSPort is open on servers of NewRedisTLS; the other port stays plain.
	TLSPort int
	Dir     string
	cmd     *exec.Cmd
	extra   []string // further arguments
}

// StartRedis starts a new server.
func StartRedis() (*Redis, error) { return startRedis(nil) }

// startRedis starts a new server once prepare has had a look at it.
func startRedis(prepare func(*Redis) error) (*Redis, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("testrig: no redis-server in PATH: install the Debian package redis-server")
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &Redis{Port: port, Dir: dir}
	if prepare != nil {
		if err := prepare(r); err != nil {
			return nil, err
		}
	}
	if err := r.Start(); err != nil {
		return nil, err
	}
	return r, nil
}

// Start starts the server again on the same port, empty.
func (r *Redis) Start() error {
	args := append([]string{"--port", strconv.Itoa(r.Port), "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", r.Dir, "--logfile", filepath.Join(r.Dir, "redis.log")}, r.extra...)
	cmd, err := command(r.Dir, "redis-server", args...)
	if err != nil {
		return err
	}
	if err := startTied(cmd, syscall.SIGKILL); err != nil {
		return fmt.Errorf("testrig: start redis-server: %w", err)
	}
	r.cmd = cmd
	deadline := time.Now().Add(15 * time.Second)
	for {
		answer, err := r.Do("PING")
		if err == nil && answer == "+PONG" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("testrig: redis-server does not answer: %w\n%s", err, tail(filepath.Join(r.Dir, "redis.log")))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Stop kills the server at once.
func (r *Redis) Stop() error {
	if err := r.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("testrig: stop redis-server: %w", err)
	}
	_ = r.cmd.Wait()
	return nil
}

// Close stops the server and removes its files.
func (r *Redis) Close() {
	_ = r.Stop()
	_ = os.RemoveAll(r.Dir)
}

// URL is the connection string of the server.
func (r *Redis) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", r.Port) }

// FlushAll deletes everything.
func (r *Redis) FlushAll() error {
	_, err := r.Do("FLUSHALL")
	return err
}

// Do sends one inline command and returns the first line of the answer.
func (r *Redis) Do(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port), time.Second)
	if err != nil {
		return "", fmt.Errorf("testrig: connect to redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", strings.Join(words, " ")); err != nil {
		return "", fmt.Errorf("testrig: write to redis: %w", err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
