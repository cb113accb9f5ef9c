//go:build failpoints

// Package failpoint marks the moments before and after a named write of the operator: of a child, or of the status. In this build, which
// is for crash tests alone, the process kills itself at the writes that a file names.
//
// The file is the one that ENGLOG_FAILPOINTS names. Each line is "before <first words of the write>" or "after <first words>", where * is any
// word; the first line is armed. A write that meets it is added to the file's neighbour <file>.hit, the line is taken out, and the process kills itself without
// any goodbye; the next process finds the next line armed.
//
// It must never import anything of the operator.
package failpoint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// Before marks the moment before a write.
func Before(write string) { reach("before", write) }

// After marks the moment after a write that succeeded.
func After(write string) { reach("after", write) }

// one process dies once, however many instances it works on.
var once sync.Mutex

func reach(moment, write string) {
	path := os.Getenv("ENGLOG_FAILPOINTS")
	if path == "" {
		return
	}
	once.Lock()
	defer once.Unlock()
	script, err := os.ReadFile(path) //nolint:gosec // the test's own file
	if err != nil {
		return
	}
	armed, rest, _ := strings.Cut(strings.TrimLeft(string(script), "\n"), "\n")
	if record := moment + " " + write; meets(strings.Fields(record), strings.Fields(armed)) {
		die(path, rest, record)
	}
}

func meets(record, armed []string) bool {
	if len(armed) < 2 || len(record) < len(armed) {
		return false
	}
	for i, word := range armed {
		if word != "*" && word != record[i] {
			return false
		}
	}
	return true
}

func die(path, rest, record string) {
	if f, err := os.OpenFile(path+".hit", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666); err == nil { //nolint:gosec // as above
		_, _ = fmt.Fprintln(f, record)
		_ = f.Close()
	}
	_ = os.WriteFile(path, []byte(rest), 0o666) //nolint:gosec // as above
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal ends this
}
