package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// errNoPort says that no local port was left on a source address. It voids a run: the client, not the service, failed.
var errNoPort = errors.New("no local port left")

// The kernel's usual ephemeral range; ports of our own choice stay inside it.
const (
	portLow  = 32768
	portHigh = 60999
	portSpan = portHigh - portLow + 1
)

// dialer opens connections from a rotating set of source addresses and ports.
//
// Ports are taken in order, not at random: a port comes back only after the whole range has passed (9 minutes at 200
// new connections a second over four addresses), so a new connection never meets the connection-tracking entry of an
// old one. The addresses start at different places in the range, so that source NAT keeps their ports apart too.
type dialer struct {
	address string
	sources []source
	next    atomic.Uint64
	dialed  atomic.Uint64
}

type source struct {
	addr netip.Addr
	port *atomic.Uint64
}

func newDialer(address string, addrs []netip.Addr, offset uint64) *dialer {
	d := &dialer{address: address}
	for i, a := range addrs {
		port := &atomic.Uint64{}
		port.Store(offset + uint64(i)*portSpan/uint64(len(addrs)))
		d.sources = append(d.sources, source{addr: a, port: port})
	}
	return d
}

// portOffset spreads consecutive processes over the port range.
func portOffset(now time.Time) uint64 { return uint64(now.UnixMilli()/10) % portSpan }

// dial opens one connection before deadline. It tries further ports when one is taken, for that is the client's own
// affair; it never repeats an attempt that the other side has seen.
func (d *dialer) dial(deadline time.Time) (net.Conn, error) {
	d.dialed.Add(1)
	if len(d.sources) == 0 {
		nd := net.Dialer{Deadline: deadline}
		return nd.DialContext(context.Background(), "tcp", d.address)
	}
	src := d.sources[d.next.Add(1)%uint64(len(d.sources))]
	for range 64 {
		c, err := src.dial(d.address, deadline)
		if !portTaken(err) {
			return c, err
		}
	}
	return nil, fmt.Errorf("dialing from %s: %w", src.addr, errNoPort)
}

func (s source) dial(address string, deadline time.Time) (net.Conn, error) {
	port := portLow + s.port.Add(1)%portSpan
	nd := net.Dialer{
		Deadline:  deadline,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.addr, uint16(port))),
		KeepAlive: -1,
		Control:   reuseAddress,
	}
	return nd.DialContext(context.Background(), "tcp", address)
}

// reuseAddress lets a port be bound again while an old connection of it is in TIME_WAIT.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var err error
	if ctlErr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}); ctlErr != nil {
		return ctlErr
	}
	return err
}

func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
