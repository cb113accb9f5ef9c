package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// PostgresPassword is the superuser's. The server answers in the namespace and on this machine only.
const PostgresPassword = "local-cluster"

// Addresses of the stores, the same for pods and for the host.
const (
	Postgres = NodeIP + ":5432"
	Redis    = NodeIP + ":6379"
)

// postgresBin finds the newest installed server: Debian has one directory for each major version.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql-15")
	}
	return slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }), nil
}

func major(bin string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return number
}

func account(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, nil
}

// ownedDir makes a directory of the state that a service's user owns.
func (c *Cluster) ownedDir(name string, uid, gid int) error {
	dir := c.path(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func (c *Cluster) postgresData() string { return c.path("postgres", "data") }

// preparePostgres makes the database cluster when it is missing.
func (c *Cluster) preparePostgres(ctx context.Context) error {
	uid, gid, err := account("postgres")
	if err != nil {
		return err
	}
	if err := c.ownedDir("postgres", uid, gid); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.postgresData(), "global", "pg_control")); err == nil {
		if c.table.PID("postgres") == 0 {
			c.releasePostgres(ctx)
		}
		return nil
	}
	bin, err := postgresBin()
	if err != nil {
		return err
	}
	return initdb(ctx, bin, c.path("postgres"), c.postgresData(), uid, gid)
}

// releasePostgres gives back what a killed server could not: its lock file and its shared memory segment, which it names
// there. A server does so itself on its next start, but not while the killed one is still a zombie.
func (c *Cluster) releasePostgres(ctx context.Context) {
	lock := filepath.Join(c.postgresData(), "postmaster.pid")
	content, err := os.ReadFile(lock)
	if err != nil {
		return
	}
	orphans := process.InNamespace(NamespacePath)
	process.KillAll(5*time.Second, func(pid int) bool { return process.Program(pid) == "postgres" && orphans(pid) })
	if id := sharedMemory(string(content)); id != "" {
		_ = command(ctx, "ipcrm", "--shmem-id", id) // it may be gone
	}
	_ = os.Remove(lock)
}

// sharedMemory reads the segment's id from a postmaster.pid: key and id are its seventh line.
func sharedMemory(lock string) string {
	lines := strings.Split(lock, "\n")
	if len(lines) < 7 {
		return ""
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		return fields[1]
	}
	return ""
}

// postgres keeps the server's own durability settings, so that measurements mean something.
func (c *Cluster) postgres() (unit, error) {
	bin, err := postgresBin()
	if err != nil {
		return unit{}, err
	}
	uid, gid, err := account("postgres")
	if err != nil {
		return unit{}, err
	}
	return unit{
		spec: process.Spec{
			Name: "postgres", Namespace: NamespacePath, UID: uid, GID: gid,
			Command: []string{bin + "/postgres", "-D", c.postgresData(), "-c", "listen_addresses=" + NodeIP, "-c", "unix_socket_directories=",
				"-c", "max_connections=300", "-c", "dynamic_shared_memory_type=mmap"},
		},
		healthy: func(ctx context.Context) error {
			return command(ctx, bin+"/pg_isready", "--quiet", "--host="+NodeIP)
		},
		within: 30 * time.Second,
		stop:   syscall.SIGINT,
	}, nil
}

func initdb(ctx context.Context, bin, dir, data string, uid, gid int) error {
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(data); err != nil { // of an interrupted initdb
		return err
	}
	cmd := exec.CommandContext(ctx, bin+"/initdb", "--pgdata="+data, "--username=postgres", "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return allowNetwork(filepath.Join(data, "pg_hba.conf"))
}

// allowNetwork lets clients of the cluster's networks log in by password.
func allowNetwork(hba string) error {
	file, err := os.OpenFile(hba, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString("host all all 10.0.0.0/8 scram-sha-256\n")
	return err
}

func (c *Cluster) prepareRedis() error {
	uid, gid, err := account("redis")
	if err != nil {
		return err
	}
	return c.ownedDir("redis", uid, gid)
}

// redis keeps nothing on disk and refuses writes rather than evict keys.
func (c *Cluster) redis() (unit, error) {
	uid, gid, err := account("redis")
	if err != nil {
		return unit{}, err
	}
	return unit{
		spec: process.Spec{
			Name: "redis", Namespace: NamespacePath, UID: uid, GID: gid,
			Command: []string{"redis-server", "--bind", NodeIP, "--port", "6379", "--protected-mode", "no", "--dir", c.path("redis"),
				"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"},
		},
		healthy: ping,
		within:  15 * time.Second,
		stop:    syscall.SIGTERM,
	}, nil
}

func ping(ctx context.Context) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", Redis)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	if _, err := connection.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err == nil && !strings.HasPrefix(answer, "+PONG") {
		err = fmt.Errorf("redis answered %q", answer)
	}
	return err
}
