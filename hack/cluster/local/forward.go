package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// Expose makes a target answer on the host's loopback at port until the cluster goes down, by a program of its own: this
// one, called as `forward`. An earlier target of the port is replaced. The target is NAMESPACE/SERVICE:PORT, the port a
// number or a name, or IP:PORT.
func (c *Cluster) Expose(ctx context.Context, target string, port int) error {
	if _, err := c.resolve(ctx, target); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("expose-%d", port)
	c.table.Stop(name, syscall.SIGTERM, time.Second)
	address := loopback(port)
	if err := free(address); err != nil {
		return err
	}
	return c.ensure(ctx, unit{
		spec:    process.Spec{Name: name, Command: []string{self, "forward", target, strconv.Itoa(port)}, Env: []string{StateVariable + "=" + c.State}},
		healthy: answers(address),
		within:  5 * time.Second,
		stop:    syscall.SIGTERM,
	})
}

// Unexpose ends what Expose began.
func (c *Cluster) Unexpose(port int) {
	c.table.Stop(fmt.Sprintf("expose-%d", port), syscall.SIGTERM, time.Second)
}

// Exposed lists the ports of the host's loopback that are forwarded.
func (c *Cluster) Exposed() []int {
	var ports []int
	for _, name := range c.table.Names() {
		if text, is := strings.CutPrefix(name, "expose-"); is && c.table.PID(name) != 0 {
			port, _ := strconv.Atoi(text)
			ports = append(ports, port)
		}
	}
	return ports
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("somebody else uses %s, choose another port: %w", address, err)
	}
	return listener.Close()
}

// Forward listens on the host's loopback and copies each connection to the target, until the context ends.
func (c *Cluster) Forward(ctx context.Context, target string, port int) error {
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return err
	}
	go func() { <-ctx.Done(); _ = listener.Close() }()
	f := &forwarder{cluster: c, target: target}
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go f.serve(ctx, client)
	}
}

// forwarder remembers the target's address until a connection to it fails: a Service made anew has another one.
type forwarder struct {
	cluster *Cluster
	target  string
	mu      sync.Mutex
	address string
}

func (f *forwarder) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := f.dial(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", f.target, err)
		return
	}
	defer server.Close()
	_ = together(
		func() error { return pass(server, client) },
		func() error { return pass(client, server) },
	)
}

// pass copies one direction and hands on its end.
func pass(to, from net.Conn) error {
	_, err := io.Copy(to, from)
	if half, can := to.(*net.TCPConn); can {
		_ = half.CloseWrite()
	}
	return err
}

func (f *forwarder) dial(ctx context.Context) (net.Conn, error) {
	for attempt := range 2 {
		address, err := f.resolve(ctx, attempt > 0)
		if err != nil {
			return nil, err
		}
		connection, err := net.DialTimeout("tcp", address, 3*time.Second)
		if err == nil || attempt > 0 {
			return connection, err
		}
	}
	return nil, nil // not reached
}

func (f *forwarder) resolve(ctx context.Context, again bool) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.address != "" && !again {
		return f.address, nil
	}
	var err error
	f.address, err = f.cluster.resolve(ctx, f.target)
	return f.address, err
}

// resolve gives the address of a target of Expose.
func (c *Cluster) resolve(ctx context.Context, target string) (string, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return "", fmt.Errorf("target %q: want NAMESPACE/SERVICE:PORT or IP:PORT", target)
	}
	if net.ParseIP(host) != nil {
		return target, nil
	}
	namespace, name := filepath.Split(host)
	client, err := c.api()
	if err != nil {
		return "", err
	}
	var s service
	if err := client.get(ctx, "/api/v1/namespaces/"+strings.TrimSuffix(namespace, "/")+"/services/"+name, &s); err != nil {
		return "", fmt.Errorf("find Service %s: %w", host, err)
	}
	for _, p := range s.Spec.Ports {
		if p.Name == port || strconv.Itoa(p.Port) == port {
			return net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(p.Port)), nil
		}
	}
	return "", fmt.Errorf("no port %s in Service %s", port, host)
}
