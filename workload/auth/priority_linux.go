package auth

import (
	"runtime"
	"syscall"
	"unsafe"
)

const (
	helperNice = 10
	// helperSlice is how long the kernel lets a helper go on while others are ready, in nanoseconds; 0.1 ms is its least.
	// Kernels before 6.12 ignore it.
	helperSlice = 100_000
)

// schedAttr is struct sched_attr of sched_setattr(2), in its first version.
type schedAttr struct {
	size, policy              uint32
	flags                     uint64
	nice                      int32
	priority                  uint32
	runtime, deadline, period uint64
}

// standBehind lowers the priority of the calling thread. Nobody needs a right for that; where it is refused all the same, the
// thread is as important as any other.
func standBehind() {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), helperNice)
	number, known := map[string]uintptr{"amd64": 314, "arm64": 274}[runtime.GOARCH]
	if !known {
		return
	}
	attr := schedAttr{size: 48, nice: helperNice, runtime: helperSlice}
	_, _, _ = syscall.Syscall(number, 0, uintptr(unsafe.Pointer(&attr)), 0) //nolint:gosec // the kernel reads the structure
}

func onFirstThread() bool { return syscall.Gettid() == syscall.Getpid() }
