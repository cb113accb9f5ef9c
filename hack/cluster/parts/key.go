package parts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// key hashes everything a part's binaries depend on: its sources, the pins, the recipe, the Go version, the platform.
func (s Store) key(p Part) (string, error) {
	version, err := goVersion()
	if err != nil {
		return "", err
	}
	files, err := sources(filepath.Join(s.Root, p.Dir))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s/%s\n%+v\n", version, runtime.GOOS, runtime.GOARCH, p.recipe())
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(s.Root, p.Dir, file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %x\n", file, sha256.Sum256(content))
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// recipe is the part without what only a person reads.
func (p Part) recipe() Part {
	p.Estimate = ""
	return p
}

// goVersion asks the go command once: it may differ from the one that built this program.
var goVersion = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version (is go in PATH?): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// sources lists a module's files below dir that can end up in its binaries, sorted.
func sources(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name := entry.Name(); strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(dir, path)
		files = append(files, relative)
		return err
	})
	slices.Sort(files)
	return files, err
}

// Lock takes an exclusive lock on a file, waiting for whoever holds it. Call the result to let go.
func Lock(path string) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}
