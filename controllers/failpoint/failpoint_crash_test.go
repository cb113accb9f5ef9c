//go:build failpoints

package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain plays an operator that makes three writes when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_TEST_WRITES") == "" {
		os.Exit(m.Run())
	}
	for _, write := range []string{"status Preparing", "apply Job abc expand", "scale api green to 0"} {
		Before(write)
		After(write)
	}
	os.Exit(0)
}

// live runs such an operator once, and says whether it was killed.
func live(t *testing.T, script string) bool {
	t.Helper()
	operator := exec.Command(os.Args[0]) //nolint:gosec // this very program
	operator.Env = append(os.Environ(), "FAILPOINT_TEST_WRITES=1", "ENGLOG_FAILPOINTS="+script)
	err := operator.Run()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if status, ok := syscall.WaitStatus(0), errors.As(err, &exit); ok {
		status, _ = exit.Sys().(syscall.WaitStatus)
		if status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	t.Fatalf("it ended otherwise: %v", err)
	return false
}

func TestOneProcessDiesForEachLine(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	lines := "before apply Job * expand\nafter apply Job * expand\nbefore scale api green to 0"
	if err := os.WriteFile(script, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if !live(t, script) {
			t.Fatalf("process %d lived", n+1)
		}
	}
	if live(t, script) {
		t.Error("a process died although the script is played")
	}
	hits, err := os.ReadFile(script + ".hit")
	if want := "before apply Job abc expand\nafter apply Job abc expand\nbefore scale api green to 0"; err != nil || strings.TrimSpace(string(hits)) != want {
		t.Errorf("it died at\n%s\nnot at\n%s (%v)", hits, want, err)
	}
}

func TestOtherWritesAreNoConcern(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	for _, line := range []string{"", "after", "before apply Job * contract", "before scale api green to 0 and more", "sometime status Preparing"} {
		if err := os.WriteFile(script, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if live(t, script) {
			t.Errorf("it died at %q", line)
		}
	}
}
