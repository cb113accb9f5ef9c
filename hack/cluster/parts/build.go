package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kept is how many builds of a part stay in the cache: checkouts of a few branches side by side.
const kept = 3

func (s Store) build(ctx context.Context, p Part, dir string) error {
	start := time.Now()
	fmt.Fprintf(s.Out, "building %s: %s\n", p.Name, p.describe())
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	for _, b := range p.Binaries {
		if err := s.buildBinary(ctx, p, b, unfinished); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
	}
	if err := link(p, unfinished); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(unfinished, complete), nil, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "built %s in %s\n", p.Name, time.Since(start).Round(time.Second))
	return nil
}

func (p Part) describe() string {
	names := make([]string, 0, len(p.Binaries)+len(p.Links))
	if len(p.Links) == 0 {
		for _, b := range p.Binaries {
			names = append(names, b.Name)
		}
	}
	for name := range p.Links {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ") + " (a first build takes " + p.Estimate + ")"
}

func (s Store) buildBinary(ctx context.Context, p Part, b Binary, dir string) error {
	flags, err := s.linkFlags(p, b)
	if err != nil {
		return err
	}
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", filepath.Join(dir, b.Name)}
	if b.Tags != "" {
		args = append(args, "-tags", b.Tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, b.Package)...)
	cmd.Dir = filepath.Join(s.Root, p.Dir)
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off", "CGO_ENABLED="+digit(b.CGO))
	progress := newProgress(s.Out, b.Name)
	defer progress.stop()
	cmd.Stderr = progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, progress.tail())
	}
	return nil
}

func digit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// linkFlags strips symbols and stamps versions. Without a stamped version the API server answers /version with a
// template that kubectl cannot parse.
func (s Store) linkFlags(p Part, b Binary) (string, error) {
	flags := []string{"-s", "-w"}
	for _, stamp := range b.Stamp {
		value := stamp.Value
		if stamp.Module != "" {
			mod, err := os.ReadFile(filepath.Join(s.Root, p.Dir, "go.mod"))
			if err != nil {
				return "", err
			}
			if value, err = required(string(mod), stamp.Module); err != nil {
				return "", err
			}
		}
		flags = append(flags, "-X "+stamp.Variable+"="+strings.TrimPrefix(value, stamp.Trim))
	}
	return strings.Join(flags, " "), nil
}

// required reads a module's version from the text of a go.mod.
func required(mod, module string) (string, error) {
	for line := range strings.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", module)
}

func link(p Part, dir string) error {
	for name, target := range p.Links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// prune removes the oldest builds of a part. Failing to is no reason to fail: the part is built.
func (Store) prune(keep string) {
	entries, _ := os.ReadDir(filepath.Dir(keep))
	type build struct {
		path string
		used time.Time
	}
	var builds []build
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() {
			builds = append(builds, build{filepath.Join(filepath.Dir(keep), e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(builds, func(a, b build) int { return b.used.Compare(a.used) })
	for i, b := range builds {
		if i >= kept && b.path != keep {
			_ = os.RemoveAll(b.path)
		}
	}
}
