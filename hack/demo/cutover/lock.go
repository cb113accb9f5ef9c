package cutover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

// alone waits until no other demo or test uses the cluster: they share the names of what they make. The lock ends with
// the returned function or with the process.
func alone(ctx context.Context, show Show) (func(), error) {
	dir, err := parts.CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "demo.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if !said {
			show.Note("Another demo or test uses the cluster; waiting for its end")
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}
