package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// Cluster is the local cluster, reached as its administrator.
type Cluster struct {
	client.WithWatch

	Kubeconfig string
	root       string
	tool       string // the compiled hack/cluster
	kubectl    string
}

// clusterUp starts the cluster, or finds it running. The tool's own progress goes to standard error.
func clusterUp(ctx context.Context, root, bin, with string) (*Cluster, error) {
	c := &Cluster{root: root, tool: filepath.Join(bin, "cluster")}
	if err := c.run(ctx, "go", "build", "-o", c.tool, "./hack/cluster"); err != nil {
		return nil, err
	}
	if err := c.run(ctx, c.tool, "up", "--with="+with); err != nil {
		return nil, fmt.Errorf("starting the local cluster: %w", err)
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// connect finds the kubeconfig and kubectl of a running cluster.
func (c *Cluster) connect(ctx context.Context) error {
	var err error
	if c.Kubeconfig, err = c.output(ctx, c.tool, "kubeconfig"); err != nil {
		return err
	}
	assets, err := c.output(ctx, c.tool, "assets")
	if err != nil {
		return err
	}
	c.kubectl = filepath.Join(assets, "kubectl")
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 200
	c.WithWatch, err = newClient(config)
	return err
}

func newClient(config *rest.Config) (client.WithWatch, error) {
	log.SetLogger(logr.Discard()) // the client library has nothing to say that an error does not
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

// Sources are the addresses that load is sent from.
func Sources() []netip.Addr {
	var out []netip.Addr
	for _, s := range local.LoadAddresses() {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// run runs a program in the checkout with its output on standard error.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	cmd := c.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", title(name, args), err)
	}
	return nil
}

// output runs a program in the checkout and returns what it printed, trimmed.
func (c *Cluster) output(ctx context.Context, name string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := c.command(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", title(name, args), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	return cmd
}

func title(name string, args []string) string {
	return strings.Join(append([]string{filepath.Base(name)}, args...), " ")
}

// Kubectl runs kubectl against the cluster and returns its output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.output(ctx, c.kubectl, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
}
