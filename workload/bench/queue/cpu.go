package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/<pid>/stat; 100 a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu sums the processor time of this process, of PostgreSQL with its backends and of Redis: it says what a task costs even
// while other programs keep the machine busy.
func cpu(postmaster int) (total time.Duration) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		name, fields := split(string(raw))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent := field(fields, 1)
		switch {
		case pid == os.Getpid(), parent == os.Getpid() && strings.HasPrefix(name, "redis"), parent == postmaster:
			total += tick * time.Duration(field(fields, 11)+field(fields, 12))
		case pid == postmaster: // with what its dead backends used
			total += tick * time.Duration(field(fields, 11)+field(fields, 12)+field(fields, 13)+field(fields, 14))
		}
	}
	return total
}

// split returns the name and the fields behind it, of which the first is the state.
func split(stat string) (string, []string) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", nil
	}
	return stat[open+1 : end], strings.Fields(stat[end+1:])
}

func field(fields []string, i int) int {
	if i >= len(fields) {
		return 0
	}
	n, err := strconv.Atoi(fields[i])
	if err != nil {
		return 0
	}
	return n
}
