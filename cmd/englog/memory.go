package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// softLimit is the size at which the collector stops being lazy. Two passwords
// being hashed are 38 MiB for a moment; without a limit the heap would grow to a
// multiple of that and stay there.
const softLimit = 96 << 20

// tuneMemory trades memory for time: the collector runs a quarter as often (10 %
// of the processor under load) as long as the process is small. GOGC and
// GOMEMLIMIT overrule it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(min(softLimit, containerLimit()/10*9))
	}
}

// containerLimit is the memory limit of the container; huge if there is none.
func containerLimit() int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err == nil && limit > 0 {
			return limit
		}
	}
	return math.MaxInt64
}

// returnMemory gives back what the start took and nothing holds any more: with the
// lazy collector a process that gets no requests would keep it.
func returnMemory() { debug.FreeOSMemory() }
