// Command load sends a constant rate of requests to an EngLog Service and counts what becomes of each; see package load.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/garnizeh/englog-operator/test/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := load.Main(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	os.Exit(code)
}
