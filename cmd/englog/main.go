// Command englog is the whole service in one program: API, worker, frontend and
// migrations are roles of the same image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/garnizeh/englog-operator/workload/auth"
	"github.com/garnizeh/englog-operator/workload/config"
	"github.com/garnizeh/englog-operator/workload/run"
)

const usage = `usage: englog <role> [flags]

  api       serve the journal's API           [--health-check]
  worker    analyse entries                   [--health-check]
  frontend  serve the web pages               [--health-check]
  migrate   up|plan --phase expand|contract   bring the schema of the database up, or say what that would do
            [--approve MIGRATION]             run destructive migrations up to this one, as plan names it
  dev       all roles in one process, for a quick look
  version   print the version of this build

Settings come from the environment; see docs for the list.
`

func main() {
	tuneMemory()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	// exitUnapproved is a refusal that only an approval ends: trying again is in vain.
	exitUnapproved = 4
)

// command runs one role and returns its exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	role, flags := args[0], args[1:]
	switch role {
	case config.RoleAPI, config.RoleWorker, config.RoleFrontend, config.RoleDev:
		return serve(ctx, role, flags, stdout, stderr)
	case config.RoleMigrate:
		return migrate(ctx, flags, stdout, stderr)
	case hasherCommand:
		return hashPasswords(stdout, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, run.Version)
		return exitOK
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "englog: there is no role %q\n\n%s", role, usage)
	return exitUsage
}

// hasherCommand is how the API starts this program again, to hash passwords.
const hasherCommand = "hash-passwords"

func hashPasswords(stdout, stderr io.Writer) int {
	if err := auth.ServeHasher(os.Stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "englog:", err)
		return exitFailed
	}
	return exitOK
}

// serve runs a serving role until the context ends, or checks whether it could.
func serve(ctx context.Context, role string, flags []string, stdout, stderr io.Writer) int {
	check := len(flags) == 1 && flags[0] == "--health-check"
	if len(flags) > 0 && !check {
		fmt.Fprintf(stderr, "englog %s: %q is not known: the only flag is --health-check\n", role, flags[0])
		return exitUsage
	}
	c, err := config.FromEnvironment(role)
	if err != nil {
		return complain(stderr, os.Getenv("TERMINATION_LOG"), err)
	}
	if check {
		return healthCheck(ctx, c, stdout)
	}
	build := map[string]func(context.Context, config.Config) (*run.App, error){
		config.RoleAPI: apiApp, config.RoleWorker: workerApp, config.RoleFrontend: frontendApp,
	}[role]
	if role == config.RoleDev {
		err = dev(ctx, c)
	} else {
		err = runApp(ctx, c, build)
	}
	if err != nil {
		return complain(stderr, c.TerminationLog, err)
	}
	return exitOK
}

func runApp(ctx context.Context, c config.Config, build func(context.Context, config.Config) (*run.App, error)) error {
	app, err := build(ctx, c)
	if err != nil {
		return err
	}
	returnMemory()
	return app.Run(ctx)
}

// complain says why a role ends, on stderr and where the platform looks.
func complain(stderr io.Writer, terminationLog string, err error) int {
	fmt.Fprintln(stderr, "englog:", err)
	writeTermination(terminationLog, []byte(err.Error()))
	return exitFailed
}

// writeTermination is best effort: outside a container there is no such file.
func writeTermination(path string, raw []byte) {
	if path == "" {
		path = "/dev/termination-log"
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, os.ErrNotExist) && path != "/dev/termination-log" {
		f, err = os.Create(path)
	}
	if err != nil {
		return
	}
	_, _ = f.Write(raw)
	_ = f.Close()
}
