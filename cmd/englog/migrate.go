package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/obs"
	"github.com/garnizeh/englog-operator/workload/store"
)

// migrate runs "migrate up" or "migrate plan"; its one line of JSON goes to
// stdout and to the termination log.
func migrate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || (args[0] != "up" && args[0] != "plan") {
		fmt.Fprintln(stderr, "englog migrate: say up or plan")
		return exitUsage
	}
	flags := flag.NewFlagSet("migrate "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("phase", string(store.Expand), "expand or contract")
	approved := flags.String("approve", "", "the newest destructive migration that may run, as plan names it")
	if err := flags.Parse(args[1:]); err != nil {
		return exitUsage
	}
	phase, err := store.ParsePhase(*name)
	if err != nil || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "englog migrate: --phase must be expand or contract")
		return exitUsage
	}
	c, err := config.FromEnvironment(config.RoleMigrate)
	if err != nil {
		fmt.Fprintln(stderr, "englog:", err)
		return report(store.MigrateResult{Phase: phase}, err, c.TerminationLog, stdout)
	}
	log := obs.NewLogger(stderr, slog.LevelInfo)
	result, err := runMigration(ctx, c, migrationRun{phase: phase, planOnly: args[0] == "plan", approved: *approved}, log)
	return report(result, err, c.TerminationLog, stdout)
}

// migrationRun is what one call is asked to do.
type migrationRun struct {
	phase    store.Phase
	planOnly bool
	approved string
}

func runMigration(ctx context.Context, c config.Config, run migrationRun, log *slog.Logger) (store.MigrateResult, error) {
	none := store.MigrateResult{Phase: run.phase, Pending: []string{}, Applied: []string{}}
	url, err := c.Database.MigrationConnString()
	if err != nil {
		return none, err
	}
	m, err := store.NewMigrator(url, log)
	if err != nil {
		return none, err
	}
	defer func() { _ = m.Close() }()
	if run.planOnly {
		return m.Plan(ctx, run.phase)
	}
	m.Approved = run.approved
	return m.Up(ctx, run.phase)
}

func report(result store.MigrateResult, err error, terminationLog string, stdout io.Writer) int {
	code := exitOK
	var refused *store.RefusedError
	switch {
	case errors.As(err, &refused):
		code, result.Refused, result.Unapproved, result.Error = exitRefused, true, refused.Unapproved, refused.Reason
		if refused.Unapproved {
			code = exitUnapproved
		}
	case err != nil:
		code, result.Error = exitFailed, err.Error()
	}
	if result.Pending == nil {
		result.Pending = []string{}
	}
	if result.Applied == nil {
		result.Applied = []string{}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s\n", raw)
	writeTermination(terminationLog, raw)
	return code
}
