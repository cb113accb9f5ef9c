package stores

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/garnizeh/englog-operator/hack/cluster/image"
)

func TestLibraries(t *testing.T) {
	const said = "/usr/bin/a:\n\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n/usr/bin/b:\n\tlibc.so.6 => /lib/x/libc.so.6 (0x4)\n"
	got, err := libraries(said)
	if err != nil || !slices.Equal(got, []string{"/lib/x/libc.so.6", "/lib64/ld.so.2"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := libraries("\tlibm.so.6 => not found\n"); err == nil || !strings.Contains(err.Error(), "libm.so.6") {
		t.Errorf("a missing library: %v", err)
	}
}

func TestRedisMajor(t *testing.T) {
	for said, want := range map[string]string{"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0": "7", "Redis server v=8.2.1 x": "8", "no": ""} {
		if got, ok := redisMajor(said); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", said, got, ok)
		}
	}
}

func TestTheCompilerOfQueriesIsLeftOut(t *testing.T) {
	for name, want := range map[string]bool{"/lib/plpgsql.so": true, "/lib/llvmjit.so": false, "/lib/bitcode/postgres.index.bc": false} {
		if module(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// TestImagesRun starts the programs of the images with nothing else around them, as their pods' user.
func TestImagesRun(t *testing.T) {
	if missing := needs(); missing != "" {
		t.Skip("needs " + missing)
	}
	images, err := Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, script := range []string{
		"initdb -D /tmp/data -U postgres -E UTF8 --locale=C.UTF-8 -N >/dev/null && " +
			"echo \"SELECT 'time ' || now() AT TIME ZONE 'Europe/Berlin'\" | postgres --single -D /tmp/data postgres && psql --version",
		"redis-server --version && redis-cli --version && mkdir /tmp/data && rm -rf /tmp/data && cat /etc/passwd",
	} {
		root := unpack(t, images[n])
		cmd := exec.CommandContext(t.Context(), "chroot", "--userspec=999:999", root, "/bin/sh", "-ec", script)
		cmd.Env = images[n].Env
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), []string{"time 20", ":999:999:"}[n]) {
			t.Errorf("%s: %v\n%s", images[n].Name, err, out)
		}
	}
}

func needs() string {
	_, noServer := PostgresMajor()
	_, noRedis := exec.LookPath("redis-server")
	switch {
	case os.Geteuid() != 0:
		return "root"
	case noServer != nil || noRedis != nil:
		return "PostgreSQL and Redis as Debian installs them"
	default:
		return ""
	}
}

// unpack lays an image's layer out in a directory, with the device that the servers write to.
func unpack(t *testing.T, i image.Image) string {
	t.Helper()
	var archive bytes.Buffer
	if err := i.Write(&archive); err != nil {
		t.Fatal(err)
	}
	layer := member(t, &archive, "layer.tar")
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil { //nolint:gosec // another user has to enter it
		t.Fatal(err)
	}
	extract := exec.CommandContext(t.Context(), "tar", "-x", "-C", root)
	extract.Stdin = layer
	if out, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	null := filepath.Join(root, "dev", "null")
	if err := os.MkdirAll(filepath.Dir(null), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mknod", "-m", "666", null, "c", "1", "3").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, parent := range []string{filepath.Dir(root), filepath.Dir(filepath.Dir(root))} {
		_ = os.Chmod(parent, 0o755) //nolint:gosec // the same
	}
	return root
}

func member(t *testing.T, archive io.Reader, name string) io.Reader {
	t.Helper()
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s in the image", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == name {
			return reader
		}
	}
}
