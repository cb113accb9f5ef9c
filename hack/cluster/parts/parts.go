// Package parts builds what the local cluster runs from pinned Go modules, and keeps the results outside the checkout
// so that a second clone finds them. It knows nothing of how the parts are run, and must import nothing of this
// repository.
package parts

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Part is one nested module and the binaries that come out of it.
type Part struct {
	Name     string            // directory below the cache
	Dir      string            // module directory, relative to the repository's root
	Binaries []Binary          // what to build
	Links    map[string]string // extra names (symlinks) → binary
	Estimate string            // what a first build takes, shown to the person who waits
}

// Binary is one program of a part.
type Binary struct {
	Name    string
	Package string    // import path, or "." for the module's own main
	CGO     bool      // needs a C compiler
	Tags    string    // build tags
	Stamp   []Stamped // version variables set at link time
}

// Stamped is a string variable that gets the version of a required module, as `go build -ldflags -X` does.
type Stamped struct {
	Variable string // importpath.Name
	Module   string // module whose version in go.mod is stamped; empty: Value as it is
	Value    string
	Trim     string // prefix cut from the version, such as "v"
}

// Store builds parts and finds them again.
type Store struct {
	Root  string    // the repository's root
	Cache string    // directory the binaries are kept in
	Out   io.Writer // progress
}

// CacheDir is where built parts are kept: ${XDG_CACHE_HOME:-~/.cache}/englog-operator.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (set XDG_CACHE_HOME or HOME): %w", err)
	}
	return filepath.Join(base, "englog-operator"), nil
}

// Find gives the directory a part's binaries are in, and whether they are built.
func (s Store) Find(p Part) (dir string, built bool, err error) {
	key, err := s.key(p)
	if err != nil {
		return "", false, fmt.Errorf("hash the sources of %s: %w", p.Name, err)
	}
	dir = filepath.Join(s.Cache, p.Name, key)
	_, err = os.Stat(filepath.Join(dir, complete))
	return dir, err == nil, nil
}

// complete is written last: a directory without it is an interrupted build.
const complete = ".complete"

// Ensure gives the directory a part's binaries are in, and builds them first when they are missing. Two callers at once
// build once.
func (s Store) Ensure(ctx context.Context, p Part) (string, error) {
	dir, built, err := s.Find(p)
	if err != nil {
		return "", err
	}
	if built {
		touch(dir)
		return dir, nil
	}
	unlock, err := Lock(filepath.Join(s.Cache, p.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, built, err = s.Find(p); err != nil || built {
		return dir, err
	}
	if err := s.build(ctx, p, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", p.Name, err)
	}
	s.prune(dir)
	return dir, nil
}

// touch marks a part as used, for prune.
func touch(dir string) {
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // only a hint
}
