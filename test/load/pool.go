package load

import (
	"sync"
	"time"
)

// pool keeps a fixed number of keep-alive connections busy in turn: the one that rested longest goes next, so that all
// of them stay in use and each sees a cutover.
type pool struct {
	dialer *dialer
	size   int

	mu     sync.Mutex
	idle   []*conn
	open   int
	closed int // connections that the server had closed while they rested
}

// get returns a connection to use for one request. The error is a dial error.
func (p *pool) get(deadline time.Time) (*conn, error) {
	if c := p.rested(); c != nil {
		return c, nil
	}
	raw, err := p.dialer.dial(deadline)
	if err != nil {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		return nil, err
	}
	return newConn(raw), nil
}

// rested returns an idle connection, or nil when the caller is to open one (already counted as open).
func (p *pool) rested() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open >= p.size && len(p.idle) > 0 {
		c := p.idle[0]
		p.idle = p.idle[1:]
		if !c.closedByPeer() {
			return c
		}
		p.closed++
		p.drop(c)
	}
	p.open++
	return nil
}

// put takes a connection back; spent = not to be used again.
func (p *pool) put(c *conn, spent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if spent || len(p.idle) >= p.size {
		p.drop(c)
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) drop(c *conn) {
	p.open--
	_ = c.Close()
}

func (p *pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		p.drop(c)
	}
	p.idle = nil
}
