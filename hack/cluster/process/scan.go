package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Match says whether a process of /proc is meant.
type Match func(pid int) bool

// InNamespace matches the processes whose network namespace is the one at path.
func InNamespace(path string) Match {
	want, err := os.Stat(path)
	return func(pid int) bool {
		if err != nil {
			return false
		}
		have, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "ns", "net"))
		return err == nil && os.SameFile(want, have)
	}
}

// RootedIn matches the processes whose root file system was made from files below dir: containers.
func RootedIn(dir string) Match {
	return func(pid int) bool {
		content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "mountinfo"))
		return err == nil && rootMount(string(content), dir)
	}
}

// rootMount looks for dir in the one line of a mountinfo whose mount point is "/".
func rootMount(mountinfo, dir string) bool {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[4] == "/" && strings.Contains(line, dir+"/") {
			return true
		}
	}
	return false
}

// Program is the name of the program that a process runs, or "".
func Program(pid int) string {
	content, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	return strings.TrimSpace(string(content))
}

// KillAll kills every process that matches until none is left or the deadline is over, and gives how many are left.
// This process and those that started it are spared.
func KillAll(within time.Duration, matches ...Match) int {
	spared := ancestors()
	deadline := time.Now().Add(within)
	for {
		left := 0
		for _, pid := range matching(spared, matches) {
			left++
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if left == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func matching(spared map[int]bool, matches []Match) []int {
	var found []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || spared[pid] || zombie(pid) {
			continue
		}
		for _, match := range matches {
			if match(pid) {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

func zombie(pid int) bool {
	_, state, err := stat(pid)
	return err != nil || state == "Z"
}

func ancestors() map[int]bool {
	all := map[int]bool{1: true}
	for pid := os.Getpid(); pid > 1; {
		all[pid] = true
		content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			break
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		pid, _ = strconv.Atoi(fields[1])
	}
	return all
}
