package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// tuneMemory trades memory for time: the collector runs a quarter as often (10 %
// of the processor under load), and a limit taken from the container keeps that
// from ever being fatal. GOGC and GOMEMLIMIT overrule it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err == nil && limit > 0 && limit < 1<<40 {
			debug.SetMemoryLimit(limit / 10 * 9)
		}
		return
	}
}
