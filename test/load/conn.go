package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

// revisionHeader carries the revision of the pod that answered.
const revisionHeader = "X-Englog-Revision"

// maxAnswer bounds what is read of one body, in bytes.
const maxAnswer = 8 << 20

// conn is one HTTP/1.1 connection. It is used by one goroutine at a time.
type conn struct {
	net.Conn
	br       *bufio.Reader
	revision string // of the last answer on this connection: a failure without an answer is laid to it
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, br: bufio.NewReaderSize(c, 4096)} }

// message is one request.
type message struct {
	method, path, host, token string
	body                      []byte
	last                      bool // ask the server to close the connection after the answer
}

// answer is one response, read to its end.
type answer struct {
	status     int
	revision   string
	close      bool // the server will close, or has closed, this connection
	retryAfter time.Duration
	body       []byte
}

// encode writes a request as it goes over the wire.
func (m message) encode() []byte {
	b := make([]byte, 0, 512+len(m.body))
	b = append(b, m.method...)
	b = append(b, ' ')
	b = append(b, m.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, m.host...)
	b = append(b, "\r\nUser-Agent: englog-load\r\nAccept: application/json\r\n"...)
	if m.token != "" {
		b = append(append(append(b, "Authorization: Bearer "...), m.token...), "\r\n"...)
	}
	if m.body != nil {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(m.body)), 10), "\r\n"...)
	}
	if m.last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(append(b, "\r\n"...), m.body...)
}

// exchange sends m once and reads the whole answer before deadline. Any error means that the connection is spent.
func (c *conn) exchange(m message, deadline time.Time) (answer, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return answer{}, fmt.Errorf("setting the deadline: %w", err)
	}
	if _, err := c.Write(m.encode()); err != nil {
		return answer{}, fmt.Errorf("sending: %w", err)
	}
	res, err := http.ReadResponse(c.br, &http.Request{Method: m.method})
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading the body: %w", err)
	}
	c.revision = res.Header.Get(revisionHeader)
	return answer{
		status: res.StatusCode, revision: c.revision, close: res.Close || m.last, body: body,
		retryAfter: retryAfter(res.Header),
	}, nil
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// closedByPeer reports whether the other side has already closed an idle connection (or sent something unasked). It is
// a look at what has arrived, as every pooling client takes it; a request that was sent is never taken back.
func (c *conn) closedByPeer() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	alive := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !alive
}

// failureKind names a transport error.
func failureKind(err error) string {
	switch {
	case errors.Is(err, errNoPort):
		return "no_port"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "eof"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	default:
		return "transport"
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
