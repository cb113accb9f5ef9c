// Package process starts programs that outlive the one that starts them, finds them again by file, and ends them. It
// knows nothing of what they do, and must import nothing of this repository.
package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spec says how to start one program.
type Spec struct {
	Name      string   // file name of its record and log
	Command   []string // program and arguments
	Env       []string // added to this process's
	Namespace string   // path of the network namespace to run in; empty: this one
	UID, GID  int      // run as; 0: root
}

// Table is a directory of records of started programs.
type Table struct {
	Dir  string // records, NAME.json
	Logs string // NAME.log
}

// record identifies a process: its id alone may belong to another one by now.
type record struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // start time in clock ticks since boot, /proc/PID/stat field 22
}

// Start starts the program in a session of its own, its output in its log. It does not wait for it to be of use.
func (t Table) Start(s Spec) error {
	if err := os.MkdirAll(t.Logs, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(t.LogFile(s.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	argv := s.argv()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepInherited()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	go func() { _ = cmd.Wait() }() // reaps it if it dies while we live
	return t.write(s.Name, cmd.Process.Pid)
}

// keepInherited keeps files that this program was started with from what it starts: a caller's lock, as of flock(1), would else be held
// for as long as the cluster runs.
func keepInherited() {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// argv enters the namespace with nsenter, which keeps the mount namespace: `ip netns exec` mounts a new /sys, and
// hides the cgroups.
func (s Spec) argv() []string {
	var argv []string
	switch {
	case s.Namespace != "":
		argv = append(argv, "nsenter", "--net="+s.Namespace)
		if s.UID != 0 {
			argv = append(argv, "--setuid="+strconv.Itoa(s.UID), "--setgid="+strconv.Itoa(s.GID))
		}
		argv = append(argv, "--")
	case s.UID != 0:
		argv = append(argv, "setpriv", "--reuid="+strconv.Itoa(s.UID), "--regid="+strconv.Itoa(s.GID), "--clear-groups", "--")
	}
	return append(argv, s.Command...)
}

func (t Table) write(name string, pid int) error {
	start, _, err := stat(pid)
	if err != nil {
		return fmt.Errorf("%s ended at once: %s", name, t.Tail(name, 5))
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return err
	}
	content, err := json.Marshal(record{pid, start})
	if err != nil {
		return err
	}
	return os.WriteFile(t.file(name), content, 0o644)
}

func (t Table) file(name string) string { return filepath.Join(t.Dir, name+".json") }

// LogFile is where a program's output goes.
func (t Table) LogFile(name string) string { return filepath.Join(t.Logs, name+".log") }

// Tail gives the last lines of a program's log.
func (t Table) Tail(name string, lines int) string {
	content, err := os.ReadFile(t.LogFile(name))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// PID gives the process id of a program that is alive, else 0.
func (t Table) PID(name string) int {
	content, err := os.ReadFile(t.file(name))
	if err != nil {
		return 0
	}
	var r record
	if json.Unmarshal(content, &r) != nil {
		return 0
	}
	start, state, err := stat(r.PID)
	if err != nil || start != r.Start || state == "Z" {
		return 0
	}
	return r.PID
}

// Names lists the recorded programs, dead ones too.
func (t Table) Names() []string {
	files, _ := filepath.Glob(filepath.Join(t.Dir, "*.json"))
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	slices.Sort(names)
	return names
}

// Stop sends the signal, waits up to grace, kills, and forgets the program.
func (t Table) Stop(name string, signal syscall.Signal, grace time.Duration) {
	if pid := t.PID(name); pid != 0 {
		_ = syscall.Kill(pid, signal)
		deadline := time.Now().Add(grace)
		for t.PID(name) != 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if t.PID(name) != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = os.Remove(t.file(name))
}

// stat reads a process's start time and state.
func stat(pid int) (start, state string, err error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", "", err
	}
	// The second field is the program's name in brackets and may hold spaces and brackets.
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	const stateField, startField = 3, 22
	if len(fields) <= startField-stateField {
		return "", "", fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	return fields[startField-stateField], fields[0], nil
}
