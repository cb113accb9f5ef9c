package cutover

import (
	"context"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// What follows is for tests that compose a story of their own.

// LoadConfig points load at the live API Service.
func (s *Stage) LoadConfig(ctx context.Context) (load.Config, error) { return s.loadConfig(ctx) }

// Database is the URI of the instance's database.
func (s *Stage) Database() string { return s.database }

// Instance reads the demo's instance.
func (c *Cluster) Instance(ctx context.Context) (*v1alpha1.EngLogInstance, error) { return c.get(ctx) }

// Change merges a patch into the spec and returns the generation that this made.
func (c *Cluster) Change(ctx context.Context, spec map[string]any) (int64, error) {
	return c.change(ctx, spec)
}

// Await polls until done, and says at the end of its patience what was still missing.
func Await(ctx context.Context, within time.Duration, what string, done func(context.Context) (bool, string, error)) error {
	return await(ctx, within, what, done)
}

// OperatorAvailable says whether as many pods of the operator run as are wanted.
func (c *Cluster) OperatorAvailable(ctx context.Context) (bool, string, error) {
	return c.operatorAvailable(ctx)
}

// Repair starts programs of the cluster again that have died.
func (c *Cluster) Repair(ctx context.Context) error { return c.run(ctx, c.tool, "up") }

// Tool runs a command of hack/cluster and returns what it printed.
func (c *Cluster) Tool(ctx context.Context, args ...string) (string, error) {
	return c.output(ctx, c.tool, args...)
}
