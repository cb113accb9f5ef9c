package local

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func describe(t *testing.T) *Cluster {
	t.Helper()
	return New(t.TempDir(), Parts{Kubernetes: "/parts/kubernetes/1", Node: "/parts/node/2", CoreDNS: "/parts/coredns/3", Pause: "/parts/pause/4"})
}

func TestTemplatesRender(t *testing.T) {
	c := describe(t)
	names, err := fs.Glob(files, "files/*")
	if err != nil || len(names) < 6 {
		t.Fatalf("templates %v, %v", names, err)
	}
	for _, name := range names {
		text, err := c.render(filepath.Base(name))
		if err != nil || strings.Contains(string(text), "{{") || strings.Contains(string(text), "<no value>") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	network, _ := c.render("cni.conflist")
	if !json.Valid(network) {
		t.Errorf("cni.conflist is not JSON: %s", network)
	}
}

func TestConfigureMakesKeysOnce(t *testing.T) {
	c := describe(t)
	if err := c.configure(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.configure(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(c.Kubeconfig()); string(after) != string(before) {
		t.Error("a second run made new keys")
	}
	for _, id := range identities() {
		if _, err := os.Stat(c.pki(id.File + ".crt")); err != nil {
			t.Error(err)
		}
	}
}

func TestConflictNamesInterfaceAndRemedy(t *testing.T) {
	const free = `[{"ifname":"eth0","addr_info":[{"local":"192.0.2.2"},{"local":"fd00::2"}]},{"ifname":"englog0","addr_info":[{"local":"10.88.0.2"}]}]`
	if err := conflict([]byte(free)); err != nil {
		t.Error(err)
	}
	for _, address := range []string{"10.88.0.1", "10.96.3.4", "10.244.0.1"} {
		taken := `[{"ifname":"podman0","addr_info":[{"local":"` + address + `"}]}]`
		err := conflict([]byte(taken))
		if err == nil || !strings.Contains(err.Error(), "podman0") || !strings.Contains(err.Error(), "CLUSTER=kind") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	const info = "1 0 254:0 / / rw - ext4 /dev/vda rw\n" +
		"2 1 254:0 /s /var/lib/s rw - ext4 /dev/vda rw\n" +
		"3 1 0:5 / /var/lib/s/kubelet rw - tmpfs t rw\n" +
		"4 3 0:6 / /var/lib/s/kubelet/with\\040space rw - tmpfs t rw\n" +
		"5 1 0:7 / /var/lib/s2/other rw - tmpfs t rw\n"
	got := mountsBelow(info, "/var/lib/s")
	if want := []string{"/var/lib/s/kubelet/with space", "/var/lib/s/kubelet"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRemoveCgroupCountsWhatStays(t *testing.T) {
	dir := t.TempDir()
	for _, below := range []string{"kubepods/a/b", "kubepods/busy"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "kubepods/busy/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if left := removeCgroup(filepath.Join(dir, "kubepods")); left != 2 {
		t.Errorf("%d stay, want kubepods and busy", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "kubepods/a")); err == nil {
		t.Error("an empty group stays")
	}
}

func TestSharedMemory(t *testing.T) {
	const lock = "123\n/data\n1700000000\n5432\n\n10.88.0.1\n  1018415        31\nready   \n"
	if got := sharedMemory(lock); got != "31" {
		t.Errorf("segment %q, want 31", got)
	}
	if got := sharedMemory("123\n/data\n"); got != "" {
		t.Errorf("segment %q of a short file", got)
	}
}

func TestDatabaseNames(t *testing.T) {
	for name, good := range map[string]bool{"demo": true, "team_a-1": true, "": false, "Demo": false, `x"; DROP`: false, "1a": false, strings.Repeat("a", 64): false} {
		if err := databaseName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPasswordsAreStableAndDiffer(t *testing.T) {
	c := describe(t)
	if err := os.MkdirAll(c.path("postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := c.password("a")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := c.password("a")
	other, _ := c.password("b")
	if first != again || first == other || len(first) != 32 {
		t.Errorf("a: %s, %s; b: %s", first, again, other)
	}
}

func TestResolveTargets(t *testing.T) {
	c := describe(t)
	if got, err := c.resolve(t.Context(), "10.88.0.1:6443"); err != nil || got != "10.88.0.1:6443" {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := c.resolve(t.Context(), "web"); err == nil || !strings.Contains(err.Error(), "NAMESPACE/SERVICE:PORT") {
		t.Errorf("got %v, want the form", err)
	}
}

func TestAwait(t *testing.T) {
	calls := 0
	succeeds := func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	if err := await(t.Context(), 5*time.Second, succeeds); err != nil || calls != 3 {
		t.Errorf("%v after %d calls", err, calls)
	}
	never := func(context.Context) error { return errors.New("the reason") }
	if err := await(t.Context(), 10*time.Millisecond, never); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("got %v, want the probe's reason", err)
	}
	dead := func(context.Context) error { return errDead }
	if err := await(t.Context(), time.Hour, dead); !errors.Is(err, errDead) {
		t.Errorf("got %v at the end of a program", err)
	}
}

func TestEnoughLoadAddresses(t *testing.T) {
	if got := LoadAddresses(); len(got) < 8 || slices.Contains(got, NodeIP) || slices.Contains(got, hostIP) {
		t.Errorf("addresses %v", got)
	}
}

func TestStatusOfNothingChangesNothing(t *testing.T) {
	c := describe(t)
	if c.Formed() {
		t.Error("an empty directory is no cluster")
	}
	_ = c.Status(t.Context())
	if entries, _ := os.ReadDir(c.State); len(entries) != 0 {
		t.Errorf("status made %v", entries)
	}
}
