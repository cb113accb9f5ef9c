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

// A password takes 16 ms of a core to check, on purpose. In the process that serves requests two of them hold both processors
// of the Go scheduler, which lets the requests beside them wait 10 ms at a time (measured: the slowest hundredth of reads
// took 60 ms beside two logins, 3 ms alone), and the garbage of each keeps the collector busy. So passwords are hashed
// by processes of their own, which share the processors with requests as the kernel sees fit, a little behind them, and which give
// their memory back when logins cease.

// hasherIdle is how long a hasher waits for its next password.
const hasherIdle = 30 * time.Second

// order is one password to hash, or to compare with a hash.
type order struct {
	Password, Hash string
	BcryptCost     int
}

// outcome of an order: of a comparison Right, else the new hash.
type outcome struct {
	Right      bool
	Hash, Fail string
}

func (o order) do() outcome {
	if o.Hash != "" {
		return outcome{Right: matches(o.Password, o.Hash)}
	}
	hash, err := newHash(o.Password, o.BcryptCost)
	if err != nil {
		return outcome{Fail: err.Error()}
	}
	return outcome{Hash: hash}
}

// ServeHasher is all that a hasher process does: it works off what comes in until in ends. Between two orders it collects the
// garbage of the last, so that the next one gets the same memory. Left to itself the collector lets five passwords' worth pile up,
// 110 MB, and a fifth of a login's processor time goes into getting those pages from the kernel.
func ServeHasher(in io.Reader, out io.Writer) error {
	decode, encode := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var o order
		err := decode.Decode(&o)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = encode.Encode(o.do())
		}
		if err != nil {
			return fmt.Errorf("serve as a hasher: %w", err)
		}
		runtime.GC()
	}
}

// hashers starts hasher processes when they are needed and ends those that are not.
type hashers struct {
	command []string
	idle    time.Duration
	mu      sync.Mutex
	free    []*hasher
}

// hasher is one process; it does one order at a time.
type hasher struct {
	process *exec.Cmd
	in      io.WriteCloser
	encode  *gob.Encoder
	decode  *gob.Decoder
	timer   *time.Timer // ends it, while it is free
}

// do gives an order to a hasher. An error means that it was not done.
func (h *hashers) do(ctx context.Context, o order) (outcome, error) {
	p, err := h.take()
	if err != nil {
		return outcome{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.process.Process.Kill() })
	out, err := p.ask(o)
	if !stop() || err != nil {
		p.end()
		return outcome{}, errors.Join(err, ctx.Err())
	}
	h.put(p)
	return out, nil
}

func (p *hasher) ask(o order) (out outcome, err error) {
	if err := p.encode.Encode(o); err != nil {
		return out, fmt.Errorf("ask a hasher: %w", err)
	}
	if err := p.decode.Decode(&out); err != nil {
		return out, fmt.Errorf("hear from a hasher: %w", err)
	}
	return out, nil
}

// end closes a hasher's input, which ends it, and waits for it elsewhere.
func (p *hasher) end() {
	_ = p.in.Close()
	go func() { _ = p.process.Wait() }()
}

func (h *hashers) take() (*hasher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.free) > 0 {
		p := h.free[len(h.free)-1]
		h.free = h.free[:len(h.free)-1]
		if p.timer.Stop() {
			return p, nil
		}
	}
	return startHasher(h.command)
}

func (h *hashers) put(p *hasher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.timer = time.AfterFunc(h.idle, func() { h.retire(p) })
	h.free = append(h.free, p)
}

// retire ends a hasher whose time is over; take leaves those alone whose timer has fired.
func (h *hashers) retire(p *hasher) {
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

// startHasher starts a process with an empty environment: it needs no secret but the passwords it is handed.
func startHasher(command []string) (*hasher, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // our own program, which outlives the request that starts it
	cmd.Env = []string{}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a hasher: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a hasher: %w", err)
	}
	if err := startBehindOthers(cmd); err != nil {
		return nil, fmt.Errorf("start a hasher: %w", err)
	}
	return &hasher{process: cmd, in: in, encode: gob.NewEncoder(in), decode: gob.NewDecoder(out)}, nil
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
