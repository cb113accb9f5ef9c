package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// hostDirs are directories outside the state that programs make and none can be told not to. Those that were not there
// before go away with the cluster.
var hostDirs = []string{
	"/run/netns", "/run/containerd", "/run/containerd/s", "/run/containerd/runc", "/run/containerd/fifo",
	"/var/lib/cni", "/var/lib/cni/results", "/var/lib/cni/networks", "/var/log/containers", "/var/log/pods", "/var/lib/kubelet",
	"/var/lib/kubelet/device-plugins", "/var/lib/kubelet/pod-resources", "/run/mount",
}

// hostFiles are what programs leave in hostDirs: removed only from directories that were not there before.
var hostFiles = map[string][]string{
	"/var/lib/cni/results":            {"cni-loopback-*-lo"},
	"/var/lib/kubelet/device-plugins": {"kubelet.sock", "kubelet_internal_checkpoint"},
	"/run/mount":                      {"utab", "utab.*"},
}

const hostRecord = "host.json"

// noteHost records which of hostDirs are not there yet.
func (c *Cluster) noteHost() error {
	if _, err := os.Stat(c.path(hostRecord)); err == nil {
		return nil
	}
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return err
	}
	var absent []string
	for _, dir := range hostDirs {
		if _, err := os.Stat(dir); err != nil {
			absent = append(absent, dir)
		}
	}
	content, err := json.Marshal(absent)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path(hostRecord), content, 0o644)
}

// Down ends every program, container and mount of the cluster and removes its files. It needs no program of the cluster
// to be alive, so it also removes what a crash left. It may be called when there is nothing.
func (c *Cluster) Down(ctx context.Context) error {
	c.stopPrograms()
	left := process.KillAll(10*time.Second, process.InNamespace(NamespacePath), process.RootedIn(c.State))
	if left > 0 {
		return fmt.Errorf("%d processes of the cluster cannot be killed; see ps for state D", left)
	}
	c.releasePostgres(ctx)
	if err := unmountBelow(c.State); err != nil {
		return err
	}
	networkDown(ctx)
	removeCgroups(2 * time.Second)
	c.cleanHost()
	if err := os.RemoveAll(c.State); err != nil {
		return fmt.Errorf("remove the cluster's files: %w", err)
	}
	return nil
}

// stopPrograms ends the programs that restart or remount things first. Only PostgreSQL is asked: it gives back shared
// memory that outlives a killed process.
func (c *Cluster) stopPrograms() {
	c.table.Stop("kubelet", syscall.SIGKILL, 0)
	c.table.Stop("containerd", syscall.SIGKILL, 0)
	c.table.Stop("postgres", syscall.SIGQUIT, 5*time.Second)
	for _, name := range c.table.Names() {
		c.table.Stop(name, syscall.SIGKILL, 0)
	}
}

// unmountBelow unmounts everything below dir, the newest first, until nothing is left. No file may be removed before:
// a volume could be something that is not ours.
func unmountBelow(dir string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		content, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		left := mountsBelow(string(content), dir)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still mounted: %s", strings.Join(left, ", "))
		}
		for _, path := range left {
			_ = syscall.Unmount(path, syscall.MNT_DETACH)
		}
	}
}

// mountsBelow reads the mount points below dir from the text of a mountinfo, the newest first.
func mountsBelow(mountinfo, dir string) []string {
	var found []string
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			found = append(found, unescape.Replace(fields[4]))
		}
	}
	slices.Reverse(found)
	return found
}

// removeCgroups removes the empty cgroups of pods. The kernel empties a killed process's cgroup a little later.
func removeCgroups(within time.Duration) {
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, pattern := range []string{"kubepods", "k8s.io", "*/kubepods", "*/k8s.io"} {
			found, _ := filepath.Glob("/sys/fs/cgroup/" + pattern)
			for _, dir := range found {
				left += removeCgroup(dir)
			}
		}
		if left == 0 || time.Now().After(deadline) {
			return
		}
	}
}

// removeCgroup removes a cgroup and those below, and counts what stays. A cgroup that holds processes stays.
func removeCgroup(dir string) int {
	var all []string
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	left := 0
	for _, path := range slices.Backward(all) {
		if err := syscall.Rmdir(path); err != nil && !errors.Is(err, syscall.ENOENT) {
			left++
		}
	}
	return left
}

// cleanHost removes what programs left outside the state.
func (c *Cluster) cleanHost() {
	remove("/var/lib/cni/results/" + Namespace + "-*")
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, c.State+"/") {
			_ = os.Remove(link)
		}
	}
	content, _ := os.ReadFile(c.path(hostRecord))
	var absent []string
	_ = json.Unmarshal(content, &absent)
	for _, dir := range slices.Backward(absent) {
		for _, pattern := range hostFiles[dir] {
			remove(filepath.Join(dir, pattern))
		}
		if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
			_ = syscall.Unmount(dir, 0) // `ip netns` makes its directory a mount point
			_ = os.Remove(dir)
		}
	}
}

func remove(pattern string) {
	found, _ := filepath.Glob(pattern)
	for _, file := range found {
		_ = os.Remove(file)
	}
}
