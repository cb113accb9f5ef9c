// Command cluster runs a real one-node Kubernetes on this machine: the control plane, kubelet, kube-proxy, containerd,
// runc, CNI and CoreDNS, built from pinned Go modules, with PostgreSQL and Redis beside them, in a network namespace of
// its own. It uses the standard library only and must never import the operator or the service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(exitCode(err))
	}
}

// exitError carries the exit code of a command that was run for the caller.
type exitError struct {
	error
	code int
}

func exitCode(err error) int {
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usage("no command given")
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	return usage(fmt.Sprintf("no command %q", args[0]))
}
