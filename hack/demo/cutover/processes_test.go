package cutover

import (
	"slices"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
)

func TestProcessesOfAPodAreFoundByTheIDsOfItsContainers(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	proc := fstest.MapFS{
		"1/cgroup":    file("0::/init.scope\n"),
		"20/cgroup":   file("4:memory:/kubepods/burstable/podaa/c1\n"),
		"21/cgroup":   file("4:memory:/kubepods/burstable/podaa/sandbox\n"),
		"22/cgroup":   file("0::/kubepods.slice/kubepods-podaa.slice/cri-containerd-c2.scope\n"),
		"30/cgroup":   file("4:memory:/kubepods/burstable/podbb/d1\n"),
		"31/comm":     file("gone\n"),
		"self/cgroup": file("c1"),
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod := &corev1.Pod{}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{ContainerID: "containerd://c1", State: running}, {ContainerID: "containerd://c2", State: running},
		{ContainerID: "containerd://d1"}, {},
	}
	got, err := processesOf(proc, containerIDs(pod))
	if err != nil || !slices.Equal(got, []int{20, 22}) {
		t.Errorf("processes %v, error %v; want 20 and 22", got, err)
	}
}
