package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/kind"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

type command struct {
	name, args, help string
	run              func(context.Context, []string) error
}

// commands by target: everything that needs PostgreSQL, Redis or the namespace exists on the local cluster only.
func commands() []command {
	everywhere := []command{
		{"assets", "", "print a directory with etcd, kube-apiserver, kube-controller-manager and kubectl, for KUBEBUILDER_ASSETS; needs no root", assets},
	}
	if os.Getenv("CLUSTER") == "kind" {
		return append(kindCommands(), everywhere...)
	}
	return append(append(localCommands(), nodeCommands()...), everywhere...)
}

func usage(problem string) error {
	var text strings.Builder
	text.WriteString(problem + "\n\nusage: go run ./hack/cluster COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&text, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	text.WriteString("\nCLUSTER=kind takes up, down, status, load-image and kubeconfig to a kind cluster.")
	return exitError{fmt.Errorf("%s", text.String()), 2}
}

func assets(ctx context.Context, _ []string) error {
	store, err := newStore()
	if err != nil {
		return err
	}
	dir, err := store.Ensure(ctx, parts.Kubernetes)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

func newStore() (parts.Store, error) {
	cache, err := parts.CacheDir()
	if err != nil {
		return parts.Store{}, err
	}
	root, err := repository()
	return parts.Store{Root: root, Cache: cache, Out: os.Stderr}, err
}

// repository finds the root of the checkout from the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, parts.Kubernetes.Dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no %s above the working directory: run this inside a checkout of the repository", parts.Kubernetes.Dir)
		}
		dir = parent
	}
}

// possible says what keeps a local cluster from running here.
func possible() error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("the local cluster needs Linux; set CLUSTER=kind to use kind and Docker instead")
	case os.Geteuid() != 0:
		return fmt.Errorf("the local cluster needs root, for network namespaces and containers: run it with sudo -E, or set CLUSTER=kind to use kind and Docker instead")
	}
	return nil
}

func kindCommands() []command {
	with := func(do func(context.Context, kind.Cluster, []string) error) func(context.Context, []string) error {
		return func(ctx context.Context, args []string) error {
			cache, err := parts.CacheDir()
			if err != nil {
				return err
			}
			return do(ctx, kind.Cluster{Name: local.Namespace, Cache: cache, Out: os.Stderr}, args)
		}
	}
	return []command{
		{"up", "", "create the kind cluster", with(func(ctx context.Context, c kind.Cluster, _ []string) error { return c.Up(ctx) })},
		{"down", "", "delete the kind cluster", with(func(ctx context.Context, c kind.Cluster, _ []string) error { return c.Down(ctx) })},
		{"status", "", "fail when there is no kind cluster", with(func(ctx context.Context, c kind.Cluster, _ []string) error { return c.Status(ctx) })},
		{"kubeconfig", "", "print the kubeconfig's path", with(func(_ context.Context, c kind.Cluster, _ []string) error {
			fmt.Println(c.Kubeconfig())
			return nil
		})},
		{"load-image", loadArgs, loadHelp, with(func(ctx context.Context, c kind.Cluster, args []string) error {
			i, err := parseImage(args)
			if err != nil {
				return err
			}
			return c.Load(ctx, i)
		})},
	}
}
