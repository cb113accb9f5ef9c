package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func table(t *testing.T) Table {
	t.Helper()
	return Table{Dir: t.TempDir(), Logs: t.TempDir()}
}

func TestStartFindStop(t *testing.T) {
	table := table(t)
	if err := table.Start(Spec{Name: "sleeper", Command: []string{"sleep", "60"}}); err != nil {
		t.Fatal(err)
	}
	pid := table.PID("sleeper")
	if pid == 0 || Program(pid) != "sleep" {
		t.Fatalf("process %d runs %q", pid, Program(pid))
	}
	if names := table.Names(); len(names) != 1 || names[0] != "sleeper" {
		t.Errorf("names %v", names)
	}
	table.Stop("sleeper", syscall.SIGTERM, 5*time.Second)
	if table.PID("sleeper") != 0 || len(table.Names()) != 0 {
		t.Error("still recorded after Stop")
	}
	if _, state, err := stat(pid); err == nil && state != "Z" {
		t.Errorf("process is in state %s after Stop", state)
	}
}

// As with the lock of `flock FILE go run ./hack/cluster up`: it must end with the command, not with the cluster.
func TestStartedProcessesHoldNoFileOfTheCaller(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_RDWR, 0o600) // without O_CLOEXEC, as a shell opens it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	table := table(t)
	if err := table.Start(Spec{Name: "sleeper", Command: []string{"sleep", "60"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Stop("sleeper", syscall.SIGKILL, time.Second) })
	held := filepath.Join("/proc", strconv.Itoa(table.PID("sleeper")), "fd", strconv.Itoa(fd))
	if target, err := os.Readlink(held); err == nil && target == path {
		t.Errorf("the process holds %s open", path)
	}
}

func TestStopKillsTheDeaf(t *testing.T) {
	table := table(t)
	if err := table.Start(Spec{Name: "deaf", Command: []string{"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); table.Tail("deaf", 1) != "deaf" && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	pid := table.PID("deaf")
	table.Stop("deaf", syscall.SIGTERM, 50*time.Millisecond)
	for deadline := time.Now().Add(5 * time.Second); !zombie(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it lives on")
		}
	}
}

func TestAnotherProcessWithTheSameIDIsNotOurs(t *testing.T) {
	table := table(t)
	record := `{"pid":` + strconv.Itoa(os.Getpid()) + `,"start":"1"}`
	if err := os.WriteFile(table.file("old"), []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	if pid := table.PID("old"); pid != 0 {
		t.Errorf("took process %d for ours", pid)
	}
	table.Stop("old", syscall.SIGKILL, 0) // must not kill this test
}

func TestTailOfTheLog(t *testing.T) {
	table := table(t)
	if err := os.WriteFile(table.LogFile("x"), []byte("one\ntwo\nthree\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := table.Tail("x", 2); got != "two\nthree" {
		t.Errorf("tail %q", got)
	}
}

func TestArgvEntersTheNamespace(t *testing.T) {
	spec := Spec{Command: []string{"postgres", "-D", "x"}, Namespace: "/run/netns/n", UID: 5, GID: 6}
	if got := strings.Join(spec.argv(), " "); got != "nsenter --net=/run/netns/n --setuid=5 --setgid=6 -- postgres -D x" {
		t.Errorf("argv %s", got)
	}
}

func TestRootMount(t *testing.T) {
	const container = "30 29 0:40 / / rw - overlay overlay rw,lowerdir=/var/lib/state/root/1/fs,upperdir=/var/lib/state/root/2/fs\n"
	const host = "20 1 254:0 / / rw - ext4 /dev/vda rw\n" +
		"30 20 0:40 / /var/lib/state/task/rootfs rw - overlay overlay rw,lowerdir=/var/lib/state/root/1/fs\n"
	if !rootMount(container, "/var/lib/state") {
		t.Error("a container of ours was not found")
	}
	if rootMount(host, "/var/lib/state") {
		t.Error("a process of the host was taken for a container")
	}
	if rootMount(container, "/var/lib/sta") {
		t.Error("a directory with a longer name was taken for ours")
	}
}

func TestKillAllSparesItself(t *testing.T) {
	table := table(t)
	if err := table.Start(Spec{Name: "victim", Command: []string{"sleep", "60"}}); err != nil {
		t.Fatal(err)
	}
	victim := table.PID("victim")
	match := func(pid int) bool { return pid == victim || pid == os.Getpid() || pid == os.Getppid() }
	if left := KillAll(5*time.Second, match); left != 0 {
		t.Errorf("%d left", left)
	}
	if !zombie(victim) {
		t.Error("the victim lives")
	}
}
