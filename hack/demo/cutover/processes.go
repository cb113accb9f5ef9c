package cutover

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containerIDs are the ids of a pod's running containers, without the runtime's prefix (containerd://).
func containerIDs(p *corev1.Pod) []string {
	var out []string
	for _, s := range p.Status.ContainerStatuses {
		if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.State.Running != nil {
			out = append(out, id)
		}
	}
	return out
}

// processesOf lists the processes of containers by looking through a proc file system: a container's id is in the path
// of its cgroup. The sandbox, which holds the pod's namespaces, has an id of its own and is not among them.
func processesOf(proc fs.FS, containers []string) ([]int, error) {
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
		if err != nil {
			continue // gone in the meantime
		}
		for _, id := range containers {
			if strings.Contains(string(cgroup), id) {
				out = append(out, pid)
				break
			}
		}
	}
	return out, nil
}
