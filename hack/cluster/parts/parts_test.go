package parts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func module(t *testing.T, source string) (Store, Part, *bytes.Buffer) {
	t.Helper()
	root := t.TempDir()
	file(t, filepath.Join(root, "tool", "go.mod"), "module example.com/tool\n\ngo 1.26\n")
	file(t, filepath.Join(root, "tool", "main.go"), source)
	var out bytes.Buffer
	part := Part{Name: "tool", Dir: "tool", Binaries: []Binary{{Name: "tool", Package: ".", Stamp: []Stamped{{Variable: "main.version", Value: "v7"}}}},
		Links: map[string]string{"alias": "tool"}}
	return Store{Root: root, Cache: t.TempDir(), Out: &out}, part, &out
}

func file(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const printsVersion = "package main\n\nvar version string\n\nfunc main() { print(version) }\n"

func TestEnsureBuildsOnce(t *testing.T) {
	store, part, out := module(t, printsVersion)
	dir, err := store.Ensure(t.Context(), part)
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(filepath.Join(dir, "alias")).CombinedOutput()
	if err != nil || string(said) != "v7" {
		t.Errorf("the binary said %q, %v; want its stamped version", said, err)
	}
	if !strings.Contains(out.String(), "building tool") {
		t.Errorf("no progress: %q", out)
	}
	out.Reset()
	again, err := store.Ensure(t.Context(), part)
	if err != nil || again != dir || out.Len() > 0 {
		t.Errorf("second Ensure: %s, %v, said %q; want %s in silence", again, err, out, dir)
	}
}

func TestFailedBuildIsToldAndNotKept(t *testing.T) {
	store, part, _ := module(t, "package main\n\nfunc main() { undefinedThing() }\n")
	if _, err := store.Ensure(t.Context(), part); err == nil || !strings.Contains(err.Error(), "undefinedThing") {
		t.Errorf("got %v, want the compiler's words", err)
	}
	if _, built, err := store.Find(part); built || err != nil {
		t.Errorf("built %v, %v", built, err)
	}
}

func TestKeyFollowsWhatMatters(t *testing.T) {
	store, part, _ := module(t, printsVersion)
	key := func() string {
		t.Helper()
		k, err := store.key(part)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before := key()
	part.Estimate = "an hour"
	file(t, filepath.Join(store.Root, "tool", "main_test.go"), "package main\n")
	if key() != before {
		t.Error("a test or an estimate changed the key")
	}
	part.Binaries[0].Tags = "seccomp"
	if key() == before {
		t.Error("build tags did not change the key")
	}
	part.Binaries[0].Tags = ""
	file(t, filepath.Join(store.Root, "tool", "go.sum"), "pins\n")
	if key() == before {
		t.Error("go.sum did not change the key")
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	store, part, _ := module(t, printsVersion)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"a", "b", "c", "d"} {
		dir := filepath.Join(store.Cache, part.Name, name)
		file(t, filepath.Join(dir, "binary"), "")
		old = old.Add(time.Minute)
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	store.prune(filepath.Join(store.Cache, part.Name, "d"))
	entries, err := os.ReadDir(filepath.Join(store.Cache, part.Name))
	if err != nil || len(entries) != kept || entries[0].Name() != "b" {
		t.Errorf("left %v, %v; want b, c, d", entries, err)
	}
}

func TestRequired(t *testing.T) {
	const mod = "module m\n\nrequire a.example/one v1.2.3\n\nrequire (\n\tb.example/two v0.9.0 // indirect\n)\n\nreplace c.example/x => c.example/x v9.0.0\n"
	for module, want := range map[string]string{"a.example/one": "v1.2.3", "b.example/two": "v0.9.0", "c.example/x": ""} {
		got, err := required(mod, module)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", module, got, err, want)
		}
	}
}

func TestProgressTellsWhere(t *testing.T) {
	p := newProgress(&bytes.Buffer{}, "kubelet")
	defer p.stop()
	_, _ = p.Write([]byte("go: downloading example.com/m v1.0.0\nexample.com/m\nk8s.io/ku"))
	_, _ = p.Write([]byte("bernetes/pkg\n"))
	status := p.status()
	for _, want := range []string{"kubelet", "2 packages", "1 modules", "k8s.io/kubernetes/pkg"} {
		if !strings.Contains(status, want) {
			t.Errorf("%q lacks %q", status, want)
		}
	}
}

func TestCatalogIsThere(t *testing.T) {
	for _, part := range All {
		if _, err := os.Stat(filepath.Join("..", "..", "..", part.Dir)); err != nil {
			t.Error(err)
		}
	}
}
