// Package stores assembles images of PostgreSQL and Redis from the programs that Debian's packages have installed on this
// machine, with the libraries that they load and nothing else: what the operator's scripts need of the official images,
// under the official images' names, without a registry. It must import nothing of the operator or the service.
package stores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/image"
)

// account is the user of both official images.
const account = 999

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// shell is what the operator's scripts run in the stores' pods.
var shell = []string{"sh", "cat", "rm", "mv", "mkdir"}

// Images are the images of the servers that are installed here, each named by its major version.
func Images(ctx context.Context) ([]image.Image, error) {
	postgres, err := postgresql(ctx)
	if err != nil {
		return nil, fmt.Errorf("assemble PostgreSQL's image: %w", err)
	}
	redis, err := redis(ctx)
	if err != nil {
		return nil, fmt.Errorf("assemble Redis' image: %w", err)
	}
	return []image.Image{postgres, redis}, nil
}

func postgresql(ctx context.Context) (image.Image, error) {
	major, err := PostgresMajor()
	if err != nil {
		return image.Image{}, err
	}
	home := "/usr/lib/postgresql/" + major
	t := tree{files: map[string]string{}}
	for _, name := range []string{"postgres", "initdb", "pg_ctl", "pg_isready", "pg_controldata", "pg_dump", "pg_restore", "psql"} {
		t.program(home + "/bin/" + name)
	}
	t.add("/usr/lib/locale/C.utf8", anything)
	t.add("/usr/share/zoneinfo", anything)
	t.add("/usr/share/postgresql/"+major, anything)
	t.add(home+"/lib", module)
	return t.image(ctx, "postgres:"+major, "postgres", home+"/bin:"+path)
}

func redis(ctx context.Context) (image.Image, error) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		return image.Image{}, err
	}
	said, err := exec.CommandContext(ctx, server, "--version").Output()
	if err != nil {
		return image.Image{}, fmt.Errorf("ask %s for its version: %w", server, err)
	}
	major, ok := redisMajor(string(said))
	if !ok {
		return image.Image{}, fmt.Errorf("%s --version says %q: no version in it", server, said)
	}
	t := tree{files: map[string]string{}}
	t.program(server)
	t.lookup("redis-cli")
	return t.image(ctx, "redis:"+major, "redis", path)
}

// redisMajor reads "Redis server v=7.0.15 sha=…".
func redisMajor(said string) (string, bool) {
	for _, field := range strings.Fields(said) {
		if version, is := strings.CutPrefix(field, "v="); is {
			major, _, ok := strings.Cut(version, ".")
			return major, ok
		}
	}
	return "", false
}

// PostgresMajor is the newest server's major version that is installed: Debian has one directory for
// each.
func PostgresMajor() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	newest := 0
	for _, server := range found {
		n, _ := strconv.Atoi(strings.Split(server, "/")[4])
		newest = max(newest, n)
	}
	if newest == 0 {
		return "", errors.New("no server in /usr/lib/postgresql: apt-get install postgresql-15")
	}
	return strconv.Itoa(newest), nil
}

func anything(string) bool { return true }

// module leaves out the compiler of queries, which is larger than the rest: the server does without it when it is missing.
func module(name string) bool {
	return filepath.Ext(name) == ".so" && !strings.HasPrefix(filepath.Base(name), "llvmjit")
}

// tree gathers the files of an image, by their path here and there, with the file that has the content.
type tree struct {
	files map[string]string
	elves []string // programs and modules, whose libraries are needed too
	err   error    // the first failure
}

// program adds an executable.
func (t *tree) program(name string) {
	t.files[name] = name
	t.elves = append(t.elves, name)
}

// lookup adds an executable of PATH under /usr/bin.
func (t *tree) lookup(name string) {
	from, err := exec.LookPath(name)
	if err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	t.files["/usr/bin/"+name] = from
	t.elves = append(t.elves, from)
}

// add adds the files below dir that are wanted. Links are followed; those that lead nowhere are left out.
func (t *tree) add(dir string, wanted func(string) bool) {
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !wanted(name) {
			return err
		}
		if info, missing := os.Stat(name); missing != nil || !info.Mode().IsRegular() {
			return nil //nolint:nilerr // a link that leads nowhere is left out
		}
		t.files[name] = name
		if filepath.Ext(name) == ".so" {
			t.elves = append(t.elves, name)
		}
		return nil
	})
	t.err = errors.Join(t.err, err)
}

// image completes the tree with a shell, libraries and the account that both servers want to find.
func (t *tree) image(ctx context.Context, name, user, path string) (image.Image, error) {
	for _, program := range shell {
		t.lookup(program)
	}
	libraries, err := loaded(ctx, t.elves)
	if err := errors.Join(t.err, err); err != nil {
		return image.Image{}, err
	}
	t.files["/bin/sh"] = t.files["/usr/bin/sh"]
	for _, library := range libraries {
		t.files[library] = library
	}
	id := strconv.Itoa(account)
	i := image.Image{Name: name, User: id + ":" + id, Env: []string{"PATH=" + path}, Entrypoint: []string{"/bin/sh"}, Files: []image.File{
		{Path: "/etc/passwd", Content: []byte("root:x:0:0:root:/:/bin/sh\n" + user + ":x:" + id + ":" + id + "::/:/bin/sh\n"), Mode: 0o644},
		{Path: "/etc/group", Content: []byte("root:x:0:\n" + user + ":x:" + id + ":\n"), Mode: 0o644},
	}}
	for path, from := range t.files {
		info, err := os.Stat(from)
		if err != nil {
			return i, err
		}
		i.Files = append(i.Files, image.File{Path: path, From: from, Mode: int64(info.Mode().Perm())})
	}
	return i, nil
}

// loaded asks the dynamic linker which libraries programs and modules load, and adds itself.
func loaded(ctx context.Context, elves []string) ([]string, error) {
	said, err := exec.CommandContext(ctx, "ldd", elves...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ldd: %w: %.500s", err, said)
	}
	return libraries(string(said))
}

// libraries reads the output of ldd: "name => /path (address)", or "/path (address)" for the linker.
func libraries(said string) ([]string, error) {
	var all []string
	for line := range strings.Lines(said) {
		fields := strings.Fields(line)
		at := slices.Index(fields, "=>") + 1
		switch {
		case strings.Contains(line, "not found"):
			return nil, fmt.Errorf("a library is missing: %s", strings.TrimSpace(line))
		case len(fields) < at+2 || !filepath.IsAbs(fields[at]):
			continue // a heading, or what the kernel provides
		case !slices.Contains(all, fields[at]):
			all = append(all, fields[at])
		}
	}
	return all, nil
}
