//go:build failpoints

package apply

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// failpoint kills the process without any goodbye at the write that the file named by ENGLOG_FAILPOINTS asks for. Each line of that file is
// "before <prefix of the write>" or "after <prefix>"; the file is emptied before the kill, so that the next process lives on, and the
// write is recorded beside it.
func failpoint(write string, after bool) {
	path := os.Getenv("ENGLOG_FAILPOINTS")
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // read only
	moment := map[bool]string{false: "before", true: "after"}[after]
	for lines := bufio.NewScanner(f); lines.Scan(); {
		want, prefix, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if ok && want == moment && strings.HasPrefix(write, prefix) {
			die(path, fmt.Sprintf("%s %s\n", moment, write))
		}
	}
}

func die(path, record string) {
	_ = os.WriteFile(path+".hit", []byte(record), 0o600)
	_ = os.Truncate(path, 0)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal ends this
}
