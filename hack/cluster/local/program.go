package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// Program is something that runs beside the cluster, in its network namespace, until it goes down.
type Program struct {
	Name    string   // of its record and log
	Command []string // program and arguments
	Health  string   // URL that answers 200 once the program is of use
}

// Run starts a program, or finds it healthy.
func (c *Cluster) Run(ctx context.Context, p Program) error { return c.ensure(ctx, p.unit()) }

// CheckProgram says whether a program that Run started is alive and of use.
func (c *Cluster) CheckProgram(ctx context.Context, p Program) error { return c.check(ctx, p.unit()) }

func (p Program) unit() unit {
	return unit{
		spec:    process.Spec{Name: p.Name, Command: p.Command, Namespace: NamespacePath},
		healthy: healthy(p.Health),
		within:  time.Minute,
		stop:    syscall.SIGTERM,
	}
}

// Authority is the file with the certificate that has signed those of the cluster's components.
func (c *Cluster) Authority() string { return c.pki("ca.crt") }

// Await waits until an object of the API server has a condition.
func (c *Cluster) Await(ctx context.Context, path, condition string) error {
	return await(ctx, time.Minute, func(ctx context.Context) error {
		client, err := c.api()
		if err != nil {
			return err
		}
		return client.holds(ctx, path, condition)
	})
}

// Get reads an object or a list of the API server, as the administrator.
func (c *Cluster) Get(ctx context.Context, path string, result any) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	return client.get(ctx, path, result)
}

// Dir makes a directory of the cluster's state, which goes away with it, and gives its path.
func (c *Cluster) Dir(name string) (string, error) {
	dir := c.path(name)
	return dir, os.MkdirAll(dir, 0o755)
}

const addonRecord = "addons"

// Addons are the names of what was added to the cluster.
func (c *Cluster) Addons() ([]string, error) {
	content, err := os.ReadFile(c.path(addonRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(content)), err
}

// NoteAddons records what is added, so that a later up repairs it.
func (c *Cluster) NoteAddons(names []string) error {
	return os.WriteFile(c.path(addonRecord), []byte(strings.Join(names, "\n")+"\n"), 0o644)
}
