package auth

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// A password takes 28 ms of a core to check, on purpose. In the process that serves requests two of them hold both processors
// of the Go scheduler, which lets the requests beside them wait 10 ms at a time (measured: the slowest hundredth of reads
// took 60 ms beside two logins, 3 ms alone), and 19 MiB of garbage for each keep the collector busy. So passwords are hashed
// by helper processes, which share the processors with requests as the kernel sees fit, a little behind them, and which give
// their memory back when logins cease.

// helperIdle is how long a helper waits for its next password.
const helperIdle = 30 * time.Second

// task is one password to hash, or to compare with a hash.
type task struct {
	Password, Hash string
	BcryptCost     int
}

// outcome of a task: of a comparison Right, else the new hash.
type outcome struct {
	Right      bool
	Hash, Fail string
}

func (t task) do() outcome {
	if t.Hash != "" {
		return outcome{Right: matches(t.Password, t.Hash)}
	}
	hash, err := newHash(t.Password, t.BcryptCost)
	if err != nil {
		return outcome{Fail: err.Error()}
	}
	return outcome{Hash: hash}
}

// ServeHelper is all that a helper process does: it works off what comes in until in ends.
func ServeHelper(in io.Reader, out io.Writer) error {
	decode, encode := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var t task
		err := decode.Decode(&t)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = encode.Encode(t.do())
		}
		if err != nil {
			return fmt.Errorf("serve as a helper: %w", err)
		}
	}
}

// helpers starts helper processes when they are needed and ends those that are not.
type helpers struct {
	command []string
	idle    time.Duration
	mu      sync.Mutex
	free    []*helper
}

// helper is one process; it does one task at a time.
type helper struct {
	process *exec.Cmd
	in      io.WriteCloser
	encode  *gob.Encoder
	decode  *gob.Decoder
	timer   *time.Timer // ends it, while it is free
}

// do gives a task to a helper. An error means that it was not done.
func (h *helpers) do(ctx context.Context, t task) (outcome, error) {
	p, err := h.take()
	if err != nil {
		return outcome{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.process.Process.Kill() })
	out, err := p.ask(t)
	if !stop() || err != nil {
		p.end()
		return outcome{}, errors.Join(err, ctx.Err())
	}
	h.put(p)
	return out, nil
}

func (p *helper) ask(t task) (out outcome, err error) {
	if err := p.encode.Encode(t); err != nil {
		return out, fmt.Errorf("ask a helper: %w", err)
	}
	if err := p.decode.Decode(&out); err != nil {
		return out, fmt.Errorf("hear from a helper: %w", err)
	}
	return out, nil
}

// end closes a helper's input, which ends it, and waits for it elsewhere.
func (p *helper) end() {
	_ = p.in.Close()
	go func() { _ = p.process.Wait() }()
}

func (h *helpers) take() (*helper, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.free) > 0 {
		p := h.free[len(h.free)-1]
		h.free = h.free[:len(h.free)-1]
		if p.timer.Stop() {
			return p, nil
		}
	}
	return startHelper(h.command)
}

func (h *helpers) put(p *helper) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.timer = time.AfterFunc(h.idle, func() { h.retire(p) })
	h.free = append(h.free, p)
}

// retire ends a helper whose time is over; take leaves those alone whose timer has fired.
func (h *helpers) retire(p *helper) {
	h.mu.Lock()
	for i, free := range h.free {
		if free == p {
			h.free = append(h.free[:i], h.free[i+1:]...)
			break
		}
	}
	h.mu.Unlock()
	p.end()
}

// startHelper starts a process with an empty environment: it needs no secret but the passwords it is handed.
func startHelper(command []string) (*helper, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // our own program, which outlives the request that starts it
	cmd.Env = []string{}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a helper: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a helper: %w", err)
	}
	if err := startBehindOthers(cmd); err != nil {
		return nil, fmt.Errorf("start a helper: %w", err)
	}
	return &helper{process: cmd, in: in, encode: gob.NewEncoder(in), decode: gob.NewDecoder(out)}, nil
}

// startBehindOthers starts a process from a thread of low priority, which the process inherits. The thread ends with its
// goroutine, because that never unlocks it. The first thread of a process cannot end: it is held while another does it.
func startBehindOthers(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if onFirstThread() {
			defer runtime.UnlockOSThread()
			started <- startBehindOthers(cmd)
			return
		}
		standBehind()
		started <- cmd.Start()
	}()
	return <-started
}
