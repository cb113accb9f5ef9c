package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// load is what a run of requests gave.
type load struct {
	took    []time.Duration // of each request, sorted
	seconds float64
}

func (l load) percentile(p int) time.Duration { return l.took[min(len(l.took)-1, len(l.took)*p/100)] }

func (l load) perSecond() float64 { return float64(len(l.took)) / l.seconds }

// traffic says how requests are sent.
type traffic struct {
	request     func(b []byte, r *rand.Rand) []byte // appends one request to b
	status      int
	connections int
	// rate of all connections together, requests a second; 0: each sends as soon as it has its answer. With a rate, times count
	// from when a request was due, so that a server that stalls cannot hide it.
	rate float64
	last time.Duration
}

// send runs the traffic against a port of this machine. Any status but the right one fails the run. As in pgbench, one
// thread serves all connections and waits for any of them: on two cores a full client would take more than the server.
func send(port int, t traffic) (load, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return load{}, fmt.Errorf("wait for connections: %w", err)
	}
	s := &sender{traffic: t, port: port, poll: poll, begin: time.Now(), want: []byte(strconv.Itoa(t.status)), conns: make([]*conn, t.connections)}
	s.random = rand.New(rand.NewPCG(uint64(port), uint64(s.begin.UnixNano())))
	defer s.close()
	for i := range s.conns {
		s.conns[i] = &conn{fd: -1, buffer: make([]byte, 0, 256<<10)}
	}
	if err := s.run(); err != nil {
		return load{}, err
	}
	if len(s.took) == 0 {
		return load{}, errors.New("no request was answered")
	}
	slices.Sort(s.took)
	return load{s.took, time.Since(s.begin).Seconds()}, nil
}

type sender struct {
	traffic
	port    int
	poll    int
	begin   time.Time
	want    []byte
	random  *rand.Rand
	conns   []*conn
	idle    []int // connections that wait for their next request, when there is a rate
	next    int   // number of the next request, when there is a rate
	request []byte
	took    []time.Duration
}

// conn is one connection; it has at most one request under way.
type conn struct {
	fd     int // -1: not connected
	start  time.Time
	buffer []byte // what came of the answer
}

func (s *sender) run() error {
	end := s.begin.Add(s.last)
	busy := 0
	for i := range s.conns {
		if s.rate > 0 {
			s.idle = append(s.idle, i)
			continue
		}
		if err := s.begins(i, time.Now()); err != nil {
			return err
		}
		busy++
	}
	events := make([]syscall.EpollEvent, len(s.conns))
	for {
		sent, wait, err := s.sendDue(end)
		if err != nil {
			return err
		}
		if busy += sent; busy == 0 && wait < 0 {
			return nil
		}
		n, err := epollWait(s.poll, events, wait)
		if err != nil {
			return fmt.Errorf("wait for connections: %w", err)
		}
		for _, event := range events[:n] {
			ended, err := s.receive(int(event.Fd), end)
			if err != nil {
				return err
			}
			busy -= ended
		}
	}
}

// sendDue sends what is due at a rate, and says when the next request will be; negative: none is to come, or none can be
// sent before an answer arrives.
func (s *sender) sendDue(end time.Time) (sent int, wait time.Duration, err error) {
	for s.rate > 0 && len(s.idle) > 0 {
		due := s.begin.Add(time.Duration(float64(s.next) / s.rate * float64(time.Second)))
		if !due.Before(end) {
			return sent, -1, nil
		}
		if wait := time.Until(due); wait > 0 {
			return sent, wait, nil
		}
		i := s.idle[0]
		s.idle = s.idle[1:]
		s.next++
		if err := s.begins(i, due); err != nil {
			return sent, 0, err
		}
		sent++
	}
	return sent, -1, nil
}

// begins sends a request on a connection; its time counts from start.
func (s *sender) begins(i int, start time.Time) error {
	c := s.conns[i]
	if c.fd < 0 {
		if err := s.connect(i); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	c.start, c.buffer = start, c.buffer[:0]
	s.request = s.traffic.request(s.request[:0], s.random)
	n, err := syscall.Write(c.fd, s.request)
	if err != nil || n < len(s.request) {
		return fmt.Errorf("send a request: %d of %d bytes: %w", n, len(s.request), err)
	}
	return nil
}

func (s *sender) connect(i int) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.conns[i].fd = fd
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: s.port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	return syscall.EpollCtl(s.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)})
}

// receive reads what came. When the answer is complete it sends the next request, or ends the work of the connection: then
// ended is 1.
func (s *sender) receive(i int, end time.Time) (ended int, err error) {
	c := s.conns[i]
	if len(c.buffer) == cap(c.buffer) {
		c.buffer = slices.Grow(c.buffer, cap(c.buffer))
	}
	n, err := syscall.Read(c.fd, c.buffer[len(c.buffer):cap(c.buffer)])
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil //nolint:nilerr // nothing has come yet
	}
	if err != nil || n == 0 {
		return 0, fmt.Errorf("read an answer: %d bytes after %d: %w", n, len(c.buffer), err)
	}
	c.buffer = c.buffer[:len(c.buffer)+n]
	complete, closes, err := parseAnswer(c.buffer, s.want)
	if err != nil || !complete {
		return 0, err
	}
	now := time.Now()
	s.took = append(s.took, now.Sub(c.start))
	if closes {
		_ = syscall.Close(c.fd)
		c.fd = -1
	}
	switch {
	case s.rate > 0:
		s.idle = append(s.idle, i)
		return 1, nil
	case now.Before(end):
		return 0, s.begins(i, now)
	}
	return 1, nil
}

func (s *sender) close() {
	for _, c := range s.conns {
		if c != nil && c.fd >= 0 {
			_ = syscall.Close(c.fd)
		}
	}
	_ = syscall.Close(s.poll)
}

// epollWait waits with the resolution of a nanosecond (epoll_pwait2, Linux 5.11): a rate of some thousands a second cannot be
// kept in steps of a millisecond. A negative time waits for ever.
func epollWait(poll int, events []syscall.EpollEvent, wait time.Duration) (int, error) {
	const epollPwait2 = 441
	var at *syscall.Timespec
	if wait >= 0 {
		t := syscall.NsecToTimespec(wait.Nanoseconds())
		at = &t
	}
	n, _, errno := syscall.Syscall6(epollPwait2, uintptr(poll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(at)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	default:
		return 0, errno
	}
}

var (
	endOfHeader = []byte("\r\n\r\n")
	hasLength   = []byte("\r\nContent-Length: ")
	isChunked   = []byte("\r\nTransfer-Encoding: chunked")
	isLast      = []byte("\r\nConnection: close")
)

// parseAnswer looks whether an answer is complete; closes says that the connection ends with it.
func parseAnswer(raw, want []byte) (complete, closes bool, err error) {
	head := bytes.Index(raw, endOfHeader)
	if head < 0 {
		return false, false, nil
	}
	header, body := raw[:head], raw[head+4:]
	if len(header) < 12 || !bytes.HasPrefix(header[9:], want) {
		line, _, _ := bytes.Cut(header, []byte("\r\n"))
		return false, false, fmt.Errorf("the answer is %q, not %s", line, want)
	}
	closes = bytes.Contains(header, isLast)
	if at := bytes.Index(header, hasLength); at >= 0 {
		digits, _, _ := bytes.Cut(header[at+len(hasLength):], []byte("\r\n"))
		length, err := strconv.Atoi(string(digits))
		if err != nil || len(body) > length {
			return false, false, fmt.Errorf("%d bytes follow where Content-Length is %q", len(body), digits)
		}
		return len(body) == length, closes, nil
	}
	if bytes.Contains(header, isChunked) {
		return bytes.HasSuffix(body, []byte("0\r\n\r\n")), closes, nil // nothing of ours ends so before the end
	}
	return false, false, fmt.Errorf("the answer has no length: %q", header)
}
