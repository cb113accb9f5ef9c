// Package kind takes the same commands to a kind cluster, for machines that cannot run the local one. It needs kind and
// Docker, and is untested where there is no Docker engine. It must import nothing but hack/cluster/image.
package kind

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/image"
)

// Cluster is a kind cluster.
type Cluster struct {
	Name  string
	Cache string // directory for the kubeconfig
	Out   io.Writer
}

// Kubeconfig is the administrator's.
func (c Cluster) Kubeconfig() string { return filepath.Join(c.Cache, "kind-"+c.Name+".kubeconfig") }

// Up creates the cluster unless it is there.
func (c Cluster) Up(ctx context.Context) error {
	exists, err := c.exists(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Cache, 0o755); err != nil {
		return err
	}
	if exists {
		return c.kind(ctx, "export", "kubeconfig", "--name", c.Name, "--kubeconfig", c.Kubeconfig())
	}
	return c.kind(ctx, "create", "cluster", "--name", c.Name, "--kubeconfig", c.Kubeconfig(), "--wait", "120s")
}

// Down deletes the cluster; it need not be there.
func (c Cluster) Down(ctx context.Context) error {
	return c.kind(ctx, "delete", "cluster", "--name", c.Name, "--kubeconfig", c.Kubeconfig())
}

// Status fails when the cluster is not there.
func (c Cluster) Status(ctx context.Context) error {
	exists, err := c.exists(ctx)
	if err == nil && !exists {
		err = fmt.Errorf("there is no kind cluster %s: run up", c.Name)
	}
	return err
}

// Load puts an image on the cluster's nodes.
func (c Cluster) Load(ctx context.Context, i image.Image) error {
	file, err := os.CreateTemp("", "image-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := i.Write(file); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return c.kind(ctx, "load", "image-archive", file.Name(), "--name", c.Name)
}

func (c Cluster) exists(ctx context.Context) (bool, error) {
	if _, err := exec.LookPath("kind"); err != nil {
		return false, fmt.Errorf("CLUSTER=kind needs the program kind in PATH: go install sigs.k8s.io/kind@v0.33.0 (and a running Docker)")
	}
	out, err := exec.CommandContext(ctx, "kind", "get", "clusters").Output()
	if err != nil {
		return false, fmt.Errorf("kind get clusters (is Docker running?): %w", err)
	}
	for _, name := range strings.Fields(string(out)) {
		if name == c.Name {
			return true, nil
		}
	}
	return false, nil
}

func (c Cluster) kind(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "kind", args...)
	cmd.Stdout, cmd.Stderr = c.Out, c.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kind %s: %w", args[0], err)
	}
	return nil
}
