package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

type command struct {
	name, args, help string
	run              func(context.Context, []string) error
}

func commands() []command {
	return []command{
		{"assets", "", "print a directory with etcd, kube-apiserver, kube-controller-manager, kubectl (KUBEBUILDER_ASSETS); needs no root", assets},
	}
}

func usage(problem string) error {
	var text strings.Builder
	text.WriteString(problem + "\n\nusage: go run ./hack/cluster COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&text, "  %-60s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
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
