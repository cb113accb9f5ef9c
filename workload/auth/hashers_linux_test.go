package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	englog "github.com/garnizeh/englog-operator/workload"
)

const asHasher = "hash"

// The test binary is its own hasher.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asHasher {
		debug.SetGCPercent(400) // as the program does
		if err := ServeHasher(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func withHashers(t *testing.T, bcryptCost int) *Passwords {
	t.Helper()
	p, err := NewPasswords(2, bcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	p.UseHashers(os.Args[0], asHasher)
	t.Cleanup(func() {
		for _, h := range p.hashers.free {
			h.end()
		}
	})
	return p
}

func (h *hashers) pids() (pids []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.free {
		pids = append(pids, p.process.Process.Pid)
	}
	return pids
}

func TestHashersHashAsThisProcessDoes(t *testing.T) {
	ctx := context.Background()
	for _, cost := range []int{0, 4} {
		here, err := NewPasswords(1, cost)
		if err != nil {
			t.Fatal(err)
		}
		there := withHashers(t, cost)
		for _, makes := range []*Passwords{here, there} {
			hash, err := makes.Hash(ctx, "correct horse battery")
			if err != nil {
				t.Fatal(err)
			}
			for _, checks := range []*Passwords{here, there} {
				right, renew, err := checks.Check(ctx, "correct horse battery", hash)
				wrong, _, _ := checks.Check(ctx, "correct horse batterz", hash)
				if err != nil || !right || wrong || renew {
					t.Errorf("cost %d: right %v, wrong %v, renew %v, %v", cost, right, wrong, renew, err)
				}
			}
		}
		if right, _, err := there.Check(ctx, "", ""); right || err != nil {
			t.Errorf("cost %d: an account without a password let somebody in: %v", cost, err)
		}
		if len(there.hashers.pids()) != 1 {
			t.Errorf("cost %d: hashers %v, want one that did everything", cost, there.hashers.pids())
		}
	}
}

func TestAHasherStandsBehindOthersAndKnowsNoSecrets(t *testing.T) {
	t.Setenv("JWT_SECRET", "of this process")
	p := withHashers(t, 4)
	if _, err := p.Hash(context.Background(), "x"); err != nil {
		t.Fatal(err)
	}
	pid := p.hashers.pids()[0]
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Skip("no /proc here")
	}
	if strings.Contains(string(environ), "JWT_SECRET") {
		t.Error("the hasher knows JWT_SECRET")
	}
	// The system call answers 20 minus the nice value.
	if got, _, errno := syscall.Syscall(syscall.SYS_GETPRIORITY, syscall.PRIO_PROCESS, uintptr(pid), 0); errno != 0 || int(got) != 20-hasherNice {
		t.Errorf("the hasher's priority is %d, %v", got, errno)
	}
	if got, _, _ := syscall.Syscall(syscall.SYS_GETPRIORITY, syscall.PRIO_PROCESS, uintptr(os.Getpid()), 0); int(got) == 20-hasherNice {
		t.Error("this process stands behind others as well")
	}
}

// Each password takes 7 MiB. A hasher that let its garbage pile up would be the largest part of an API pod.
func TestAHasherUsesItsMemoryAgain(t *testing.T) {
	p := withHashers(t, 0)
	for range 8 {
		if _, err := p.Hash(context.Background(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.hashers.pids()[0]))
	if err != nil {
		t.Skip("no /proc here")
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kb int
	if _, err := fmt.Sscanf(peak, "%d kB", &kb); err != nil || kb > 80_000 {
		t.Errorf("after 8 passwords a hasher has had %d kB at once, %v", kb, err)
	}
}

// A hasher that dies, or cannot be started at all, costs time and no login.
func TestALostHasherIsReplaced(t *testing.T) {
	ctx := context.Background()
	p := withHashers(t, 4)
	hash, err := p.Hash(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	lost := p.hashers.pids()[0]
	if err := syscall.Kill(lost, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if right, _, err := p.Check(ctx, "x", hash); !right || err != nil {
			t.Errorf("got %v, %v", right, err)
		}
	}
	if pids := p.hashers.pids(); len(pids) != 1 || pids[0] == lost {
		t.Errorf("hashers %v, want one other than %d", pids, lost)
	}
	p.UseHashers("/there/is/no/such/program")
	if right, _, err := p.Check(ctx, "x", hash); !right || err != nil {
		t.Errorf("without hashers: %v, %v", right, err)
	}
}

func TestALoginThatIsGivenUpEndsItsHasher(t *testing.T) {
	p := withHashers(t, 14) // a second
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Hash(ctx, "x"); englog.CodeOf(err) != englog.CodeUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if pids := p.hashers.pids(); len(pids) != 0 {
		t.Errorf("hashers %v are left", pids)
	}
}

func TestIdleHashersEnd(t *testing.T) {
	p := withHashers(t, 4)
	p.hashers.idle = 20 * time.Millisecond
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = p.Hash(context.Background(), "x") })
	}
	wg.Wait()
	p.hashers.mu.Lock()
	free := append([]*hasher(nil), p.hashers.free...)
	p.hashers.mu.Unlock()
	deadline := time.Now().Add(10 * time.Second)
	for len(p.hashers.pids()) > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	for _, h := range free {
		for !errors.Is(syscall.Kill(h.process.Process.Pid, 0), syscall.ESRCH) {
			if time.Now().After(deadline) {
				t.Fatal("an idle hasher lives on")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
