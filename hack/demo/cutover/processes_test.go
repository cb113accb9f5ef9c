package cutover

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestProcessesOfAPodAreFoundByItsCgroup(t *testing.T) {
	const uid = "0b1c-22-aa"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	proc := fstest.MapFS{
		"1/cgroup": file("0::/init.scope\n"), "1/comm": file("init\n"),
		"20/cgroup": file("4:memory:/kubepods/burstable/pod0b1c-22-aa/c1\n"), "20/comm": file("manager\n"),
		"21/cgroup": file("4:memory:/kubepods/burstable/pod0b1c-22-aa/c0\n"), "21/comm": file("pause\n"),
		"22/cgroup": file("0::/kubepods.slice/kubepods-pod0b1c_22_aa.slice/x\n"), "22/comm": file("englog\n"),
		"30/cgroup": file("4:memory:/kubepods/burstable/podffff-22-aa/c1\n"), "30/comm": file("manager\n"),
		"31/comm":     file("gone\n"),
		"self/cgroup": file("pod0b1c-22-aa"),
	}
	got, err := processesOf(proc, uid)
	if err != nil || !slices.Equal(got, []int{20, 22}) {
		t.Errorf("processes %v, error %v; want 20 and 22", got, err)
	}
}
