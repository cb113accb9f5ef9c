package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Op is what one request does.
type Op uint8

// The three operations of the mix: 60 % Get, 20 % List, 20 % Create.
const (
	Get Op = iota
	List
	Create
)

func (o Op) String() string { return [...]string{"get", "list", "create"}[o] }

// Class is how a request reaches the service.
type Class uint8

// Half of each operation goes over a connection of its own, half over the keep-alive pool.
const (
	Fresh Class = iota
	KeepAlive
)

func (c Class) String() string { return [...]string{"fresh", "keep_alive"}[c] }

// Config says where to, how fast and from where. The zero value of a field takes the default that its comment names.
type Config struct {
	Address  string        // host:port of the live Service
	Host     string        // Host header; default Address
	Rate     int           // requests per second; default 200
	Users    int           // default 50, which is also the least
	Sources  []netip.Addr  // local addresses to bind; none = the kernel chooses (then the source count is not checked)
	Timeout  time.Duration // from sending to the last byte of the answer; default 2 s
	PoolSize int           // keep-alive connections; default 50
	MaxLag   time.Duration // a request that cannot be sent within this time of being due is not sent; default 1 s
	Seed     uint64        // order of operations and choice of entries; 0 = 1
}

func (c Config) withDefaults() Config {
	c.Host = orDefault(c.Host, c.Address)
	c.Rate = orDefault(c.Rate, 200)
	c.Users = orDefault(c.Users, 50)
	c.Timeout = orDefault(c.Timeout, 2*time.Second)
	c.PoolSize = orDefault(c.PoolSize, 50)
	c.MaxLag = orDefault(c.MaxLag, time.Second)
	c.Seed = orDefault(c.Seed, 1)
	return c
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}

func (c Config) validate() error {
	switch {
	case c.Address == "":
		return errors.New("address: missing; give host:port of the live Service")
	case c.Rate < 1 || c.Rate > 20_000:
		return fmt.Errorf("rate: %d is outside 1 to 20000 requests per second", c.Rate)
	case c.Users < 50:
		return fmt.Errorf("users: %d are too few; the mix is defined over at least 50", c.Users)
	case len(c.Sources) > 0 && len(c.Sources) < 4:
		return fmt.Errorf("sources: %d address(es) given; the mix is defined over at least 4", len(c.Sources))
	}
	return nil
}

// slot is one place in the repeating order of requests.
type slot struct {
	op    Op
	class Class
}

// mix is the order that repeats every 20 requests: 12 get, 4 list, 4 create, half of each on fresh connections.
// It is shuffled by seed so that no operation meets the same phase of a periodic event every time.
func mix(seed uint64) []slot {
	counts := []struct {
		op Op
		n  int
	}{{Get, 6}, {List, 2}, {Create, 2}}
	var out []slot
	for _, c := range counts {
		for range c.n {
			out = append(out, slot{c.op, Fresh}, slot{c.op, KeepAlive})
		}
	}
	rng := rand.New(rand.NewPCG(seed, 20))
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// dueAt is when request n falls due: n/rate seconds after the start, without accumulating rounding.
func dueAt(start time.Time, n, rate int) time.Time {
	whole, rest := n/rate, n%rate
	return start.Add(time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(rate))
}
