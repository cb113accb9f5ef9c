// Package node holds what the tests on the real node share: whether they can run here, and where their output goes. It
// must import nothing of the product.
package node

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// Need skips where containers cannot be started. In a pipeline that is a failure: a part that silently does not run
// proves nothing.
func Need(t *testing.T) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("the real node is left out of short tests")
	case os.Geteuid() == 0:
		return
	case os.Getenv("REQUIRE_NODE") != "" || os.Getenv("CI") == "true":
		t.Fatal("the real-node part must run here, but this is not root")
	default:
		t.Skip("the real node starts containers and needs root on Linux; run it with sudo")
	}
}

// Log is a writer whose lines go to the test's log.
func Log(t *testing.T) io.Writer {
	t.Helper()
	return log{t}
}

type log struct{ t *testing.T }

func (l log) Write(b []byte) (int, error) {
	l.t.Helper()
	l.t.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}
