// Command cutover measures three ways to bring a new version of the API to its users, side by side: this operator, Argo
// Rollouts' blue-green, and the steps of a shell script. Same cluster, same image, same database, same workers behind it,
// same load, taking turns. It prints a table and ends with one line of JSON.
//
// It sees each system as a user does and must import neither controllers nor workload.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-cutover:", err)
		os.Exit(1)
	}
}

// settings are the flags; each has an environment variable, for make.
type settings struct {
	cutovers int
	rate     int
	requests int
	bad      string
	systems  string
	samples  string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench-cutover", flag.ContinueOnError)
	flags.IntVar(&s.cutovers, "cutovers", number("CUTOVERS", 5), "cutovers of each system (CUTOVERS); 1 is the short mode")
	flags.IntVar(&s.rate, "rate", number("RATE", 0), "requests per second (RATE); 0 = 1000, or the most that the machine holds")
	flags.IntVar(&s.requests, "requests", number("REQUESTS", 60_000), "a good release of this operator is under load until so many were sent (REQUESTS)")
	flags.StringVar(&s.bad, "bad", text("BAD", faultNames()), "bad releases to bring too, comma-separated (BAD; none leaves them out)")
	flags.StringVar(&s.samples, "samples", os.Getenv("SAMPLES"), "a file that keeps what was measured, and whose earlier runs count too (SAMPLES)")
	flags.StringVar(&s.systems, "systems", "englog,"+argoName+","+scriptName, "which systems, comma-separated; englog is always there")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.cutovers < 0 || s.rate < 0 || s.requests < 0 {
		return s, fmt.Errorf("cutovers: %d, rate: %d, requests: %d; give 0 or more", s.cutovers, s.rate, s.requests)
	}
	return s, nil
}

func text(name, def string) string {
	if s, set := os.LookupEnv(name); set {
		return s
	}
	return def
}

// number reads a variable; what is no number is taken as absent.
func number(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	stage, err := cutover.Raise(ctx, cutover.Options{RetentionSeconds: 15, ConfirmSeconds: 10}, &cutover.Lines{Out: os.Stderr})
	if err != nil {
		return err
	}
	defer stage.Close()
	b, err := newBench(ctx, stage, s)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.all(ctx); err != nil {
		return err
	}
	b.print(os.Stdout)
	return json.NewEncoder(os.Stdout).Encode(b.summary())
}
