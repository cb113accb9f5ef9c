package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// measureQueue runs the module beside this program, which knows the peers, and takes its figures over.
func measureQueue(s settings, r result) error {
	dir, err := os.MkdirTemp("", "englog-bench-queue-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "queue")
	if err := build(binary, "../queue", "."); err != nil {
		return err
	}
	args := []string{}
	if s.short {
		args = []string{"-tasks", "4000", "-idle", "50", "-backlog", "20000"}
	}
	cmd := exec.Command(binary, args...)
	cmd.Stderr = os.Stdout
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the queue: %w", err)
	}
	return r.takeQueue(out)
}

// takeQueue reads the last line of the module's program.
func (r result) takeQueue(out []byte) error {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var figures map[string]map[string]float64
	if err := json.Unmarshal(lines[len(lines)-1], &figures); err != nil {
		return fmt.Errorf("read the figures of the queue: %w", err)
	}
	ours, safety := figures["englog"], figures["safety"]
	if ours == nil || safety == nil {
		return fmt.Errorf("the queue gave no figures of its own: %s", lines[len(lines)-1])
	}
	r["queue"] = figures
	r["queue_per_second"], r["queue_pickup_p50_ms"] = ours["per_second"], round(ours["pickup_p50_ms"])
	r["queue_flushed_lost"] = safety["flushed_lost"]
	r["queue_backlog_over_window"] = max(0, safety["backlog_depth_max"]-safety["window"])
	return nil
}
