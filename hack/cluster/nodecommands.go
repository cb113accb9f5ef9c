package main

import (
	"context"
	"fmt"
	"os"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/policies"
	"github.com/garnizeh/englog-operator/hack/cluster/stores"
	"github.com/garnizeh/englog-operator/hack/cluster/volumes"
)

// nodeCommands are about what the node has beside Kubernetes: images of stores, volumes, enforced policies.
func nodeCommands() []command {
	return []command{
		{"load-stores", "", "make images of PostgreSQL and Redis from the packages of this machine and load them under the official names", loadStores},
		{local.VolumesCommand, "", "what up runs in the background: a directory for each PersistentVolumeClaim", agent(volumes.Serve)},
		{local.PoliciesCommand, "", "what up runs in the background: rules for each NetworkPolicy", agent(policies.Serve)},
	}
}

func loadStores(ctx context.Context, _ []string) error {
	c, err := running()
	if err != nil {
		return err
	}
	images, err := stores.Images(ctx)
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := c.Load(ctx, i); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "loaded %s\n", i.Name)
	}
	return nil
}

// agent needs no built parts and no checkout: it runs on when the checkout is gone.
func agent(serve func(context.Context, *local.Cluster) error) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) error {
		return serve(ctx, local.New(local.StateDir(), local.Parts{}))
	}
}
