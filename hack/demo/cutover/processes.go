package cutover

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// sandbox is the name of the process that only holds a pod's namespaces.
const sandbox = "pause"

// processesOf lists the processes of a pod, without its sandbox, by looking through a proc file system. Both cgroup
// drivers put the pod's UID into the path: pod<uid>, or pod<uid with underscores>.slice.
func processesOf(proc fs.FS, uid string) ([]int, error) {
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cgroup, err := fs.ReadFile(proc, e.Name()+"/cgroup")
		if err != nil || !strings.Contains(strings.ReplaceAll(string(cgroup), "_", "-"), "pod"+uid) {
			continue // gone in the meantime, or another's
		}
		if name, err := fs.ReadFile(proc, e.Name()+"/comm"); err == nil && strings.TrimSpace(string(name)) != sandbox {
			out = append(out, pid)
		}
	}
	return out, nil
}
