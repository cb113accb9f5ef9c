// Command demo shows the whole promise on a real cluster: it starts Kubernetes on this machine, deploys the operator and
// one EngLogInstance, puts load on it, changes spec.version, and counts what users noticed. With --once it does so
// without a terminal, cleans up, and ends with one line of JSON and a non-zero exit code if anything failed or was lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
	"github.com/garnizeh/englog-operator/hack/demo/view"
)

// settings are the command's flags.
type settings struct {
	cutover.Options

	once, keep bool
	picture    string
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.BoolVar(&s.once, "once", false, "without a terminal; remove the instance at the end; the last line is JSON")
	fs.BoolVar(&s.keep, "keep", false, "with --once: leave the instance running")
	fs.IntVar(&s.Rate, "rate", 200, "requests per second")
	fs.IntVar(&s.ConfirmSeconds, "confirm-seconds", 10, "how long the new revision is watched after the switch")
	fs.IntVar(&s.RetentionSeconds, "retention-seconds", 15, "how long the old revision stays warm")
	fs.Uint64Var(&s.Seed, "seed", 1, "order of the requests")
	kill := fs.String("kill-operator", "", "kill -9 the operator when the rollout reaches this step, such as Switching")
	fs.StringVar(&s.picture, "picture", "", "write an SVG of the view, as it is late in the cutover, to this file")
	err := fs.Parse(args)
	s.KillOperatorAt = v1alpha1.Step(*kill)
	return s, err
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	stage, result, err := cutover.Run(ctx, s.Options, s.show())
	if err != nil {
		return err
	}
	result.Print(os.Stdout)
	if !s.once {
		return s.farewell(ctx, stage, result)
	}
	if !s.keep {
		if err := stage.Remove(ctx); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		return err
	}
	return judged(result)
}

func (s settings) show() cutover.Show {
	var show cutover.Show = &cutover.Lines{Out: os.Stdout}
	if !s.once {
		show = view.New(os.Stdout)
	}
	if s.picture != "" {
		show = &view.Recorder{Show: show, Path: s.picture, Step: v1alpha1.StepRetaining}
	}
	return show
}

func judged(r *cutover.Result) error {
	if r.Clean() {
		return nil
	}
	return fmt.Errorf("%d requests failed, %d entries and %d tasks were lost, %d tasks ran twice",
		r.Failed, r.LostEntries, r.LostTasks, r.DuplicateRuns)
}

// farewell leaves the instance running and says where it is.
func (s settings) farewell(ctx context.Context, stage *cutover.Stage, r *cutover.Result) error {
	if err := stage.Expose(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo: the instance is not reachable from the loopback:", err)
	}
	printHints(os.Stdout, stage)
	return judged(r)
}

func printHints(w io.Writer, stage *cutover.Stage) {
	_, _ = fmt.Fprintf(w, `
The instance runs on.
  frontend      http://127.0.0.1:%[2]s
  API           http://127.0.0.1:%[3]s/api/v1
  look around   export KUBECONFIG=%[1]s
                go run ./hack/cluster kubectl -n %[4]s get englog,pods,services
                go run ./hack/cluster kubectl -n %[4]s get englog %[5]s -o yaml
                go run ./hack/cluster kubectl -n %[4]s get events --sort-by=.lastTimestamp
  go back       go run ./hack/cluster kubectl -n %[4]s patch englog %[5]s --type=merge -p '{"spec":{"version":"%[6]s"}}'
  clean up      go run ./hack/cluster down
`, stage.Kubeconfig, cutover.FrontendPort, cutover.APIPort, cutover.Namespace, cutover.Name, cutover.VersionOld)
}
