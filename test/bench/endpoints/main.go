// Command endpoints measures how long a switch takes to reach the EndpointSlices: from the moment in which the write of a
// Service's selector is sent until a watch has seen that exactly the other color's pods are listed. API server and
// kube-controller-manager are real; the pods are not, so that hundreds of them fit on any machine.
//
// It must import neither controllers nor workload: the write is the one that the operator makes, the rest is Kubernetes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

// sizes of a color. Above 100 pods a Service has more than one EndpointSlice, and a switch is no longer one write.
var sizes = []int{1, 10, 50, 100, 150}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-endpoints:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench-endpoints", flag.ContinueOnError)
	flips := flags.Int("flips", 300, "switches of each size")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *flips < 1 {
		return fmt.Errorf("flips: %d; give at least 1", *flips)
	}
	r, err := rig.Start(rig.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	var results []result
	for _, size := range sizes {
		got, err := measure(ctx, r.Client, size, *flips)
		if err != nil {
			return fmt.Errorf("%d pods of each color: %w", size, err)
		}
		results = append(results, got)
	}
	return report(results)
}

// report ends with one line of JSON.
func report(results []result) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "pods of a color\tswitches\tp50 ms\tp99 ms\tmax ms\tslice writes\tmixed")
	for _, r := range results {
		_, _ = fmt.Fprintf(t, "%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%d\n", r.Pods, r.Switches, r.P50, r.P99, r.Max, r.Writes, r.Mixed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"switch_to_endpoints": results})
}
