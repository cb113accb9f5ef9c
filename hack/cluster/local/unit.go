package local

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// unit is one program of the cluster and what healthy means for it.
type unit struct {
	spec    process.Spec
	healthy probe
	within  time.Duration // until healthy after a start
	stop    syscall.Signal
}

// name of the unit, of its record and of its log.
func (u unit) name() string { return u.spec.Name }

// check says whether the unit's program is alive and healthy.
func (c *Cluster) check(ctx context.Context, u unit) error {
	if c.table.PID(u.name()) == 0 {
		return fmt.Errorf("not running; last words in %s", c.table.LogFile(u.name()))
	}
	return u.healthy(ctx)
}

// ensure leaves a healthy unit alone, starts a dead one, and restarts one that does not get healthy.
func (c *Cluster) ensure(ctx context.Context, u unit) error {
	if c.table.PID(u.name()) != 0 {
		if await(ctx, u.within, u.healthy) == nil {
			return nil
		}
		c.table.Stop(u.name(), u.stop, 5*time.Second)
	}
	if err := c.table.Start(u.spec); err != nil {
		return err
	}
	err := await(ctx, u.within, func(ctx context.Context) error {
		if c.table.PID(u.name()) == 0 {
			return errDead
		}
		return u.healthy(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w; the end of %s:\n%s", u.name(), err, c.table.LogFile(u.name()), c.table.Tail(u.name(), 8))
	}
	return nil
}
