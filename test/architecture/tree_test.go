package architecture

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// root is the directory of the repository.
func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// trackedFiles lists the files that git knows or would add, with slashes, below the root.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = root(t)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("list the files with git: %v (run the tests in a git checkout)", err)
	}
	var files []string
	for path := range strings.SplitSeq(strings.TrimRight(string(output), "\x00"), "\x00") {
		// A file deleted but not yet committed is still listed.
		if _, err := os.Stat(filepath.Join(root(t), path)); err == nil && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files
}

// An absolute path below someone's home or a mounted checkout: it works on one machine and tells about it.
var machinePath = regexp.MustCompile(`(^|[\s"'=(:])/(root|home/[a-z]+|Users/[A-Za-z]+|work|workspace)/[\w.]`)

func TestNoMachinePaths(t *testing.T) {
	for _, path := range trackedFiles(t) {
		data, err := os.ReadFile(filepath.Join(root(t), path))
		if err != nil || bytes.IndexByte(data, 0) >= 0 { // a socket, a link to a directory, or a picture
			continue
		}
		for number, line := range strings.Split(string(data), "\n") {
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d names a path of one machine: %s", path, number+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestMachinePathsBite(t *testing.T) {
	for _, line := range []string{`x = "/` + `root/.cache"`, "cd /" + "work/main", "DIR=/" + "home/jane/src"} {
		if !machinePath.MatchString(line) {
			t.Errorf("%q is not noticed", line)
		}
	}
	for _, line := range []string{"WORKDIR /src", "/etc/englog/credentials", "https://example.com/root/x"} {
		if machinePath.MatchString(line) {
			t.Errorf("%q is refused", line)
		}
	}
}

// A test that no target runs rots. Packages below test/ are listed by name in the Makefile, since each kind needs something else.
func TestEveryTestIsRun(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range trackedFiles(t) {
		parts := strings.Split(path, "/")
		if parts[0] != "test" || !strings.HasSuffix(path, "_test.go") {
			continue
		}
		if room := "test/" + parts[1] + "/"; !strings.Contains(string(makefile), room) {
			t.Errorf("no target of the Makefile runs ./%s...: add it to the kind it belongs to", room)
		}
	}
}

// The components, the libraries and the generators must speak of one Kubernetes; a nested module is easily forgotten.
// Peers that are measured against keep their own versions.
func TestOneKubernetesVersion(t *testing.T) {
	versions := map[string][]string{} // "0.37.2" → modules that require it
	for _, path := range trackedFiles(t) {
		if filepath.Base(path) != "go.mod" || strings.Contains(path, "peers/") {
			continue
		}
		for required, version := range kubernetesRequirements(t, path) {
			versions[version] = append(versions[version], path+" ("+required+")")
		}
	}
	if len(versions) > 1 {
		t.Errorf("more than one Kubernetes version is required; bump them together:")
		for version, from := range versions {
			slices.Sort(from)
			t.Errorf("\t%s by %s", version, strings.Join(from, ", "))
		}
	}
}

// released are the modules that carry Kubernetes' own version number.
var released = []string{
	"k8s.io/api", "k8s.io/apiextensions-apiserver", "k8s.io/apimachinery", "k8s.io/apiserver", "k8s.io/client-go",
	"k8s.io/component-base", "k8s.io/code-generator", "k8s.io/kubectl", "k8s.io/kubelet", "k8s.io/kubernetes",
}

// kubernetesRequirements maps module to version with the major number left out: staging says v0.37.2 where Kubernetes says v1.37.2.
func kubernetesRequirements(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, require := range parsed.Require {
		// What a nested module gets through others alone (containerd's client, say) is theirs to choose.
		theirs := require.Indirect && path != "go.mod"
		if slices.Contains(released, require.Mod.Path) && !theirs {
			_, minor, _ := strings.Cut(require.Mod.Version, ".")
			found[require.Mod.Path] = minor
		}
	}
	return found
}
