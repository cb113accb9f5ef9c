package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// formed exists once a cluster was up: from then on up repairs it, before that it starts afresh.
const formed = "formed"

// Up brings the cluster up: it does nothing to a healthy one, repairs one that lost a program, and removes the remains
// of one that cannot be repaired.
func (c *Cluster) Up(ctx context.Context, out io.Writer) error {
	if c.Formed() && c.Check(ctx) == nil {
		return nil
	}
	if c.Formed() && networkExists() {
		err := c.start(ctx, out)
		if err == nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(out, "repair failed, starting afresh: %v\n", err)
	}
	if c.remains() {
		if err := c.Down(ctx); err != nil {
			return fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	return c.start(ctx, out)
}

// Formed says whether a cluster was brought up here and not taken down again.
func (c *Cluster) Formed() bool {
	_, err := os.Stat(c.path(formed))
	return err == nil
}

// remains says whether there is anything of an earlier run.
func (c *Cluster) remains() bool {
	_, state := os.Stat(c.State)
	_, namespace := os.Stat(NamespacePath)
	return state == nil || namespace == nil || networkExists()
}

func (c *Cluster) start(ctx context.Context, out io.Writer) error {
	if err := c.noteHost(); err != nil {
		return err
	}
	if !networkExists() {
		if err := c.networkUp(ctx); err != nil {
			return err
		}
	}
	if err := c.configure(); err != nil {
		return err
	}
	s := starter{c, out, time.Now()}
	if err := together(
		func() error { return s.postgres(ctx) },
		func() error { return s.redis(ctx) },
		func() error { return s.node(ctx) },
	); err != nil {
		return err
	}
	return os.WriteFile(c.path(formed), nil, 0o644)
}

// starter starts units and says so.
type starter struct {
	*Cluster
	out   io.Writer
	begin time.Time
}

func (s starter) say(what string) {
	fmt.Fprintf(s.out, "  %5.1fs %s\n", time.Since(s.begin).Seconds(), what)
}

func (s starter) ensure(ctx context.Context, u unit) error {
	if err := s.Cluster.ensure(ctx, u); err != nil {
		return err
	}
	s.say(u.name())
	return nil
}

func (s starter) postgres(ctx context.Context) error {
	if err := s.preparePostgres(ctx); err != nil {
		return fmt.Errorf("prepare PostgreSQL: %w", err)
	}
	u, err := s.Cluster.postgres()
	if err != nil {
		return err
	}
	return s.ensure(ctx, u)
}

func (s starter) redis(ctx context.Context) error {
	if err := s.prepareRedis(); err != nil {
		return fmt.Errorf("prepare Redis: %w", err)
	}
	u, err := s.Cluster.redis()
	if err != nil {
		return err
	}
	return s.ensure(ctx, u)
}

// node starts runtime and control plane side by side, then the node's agents, then DNS.
func (s starter) node(ctx context.Context) error {
	if err := together(
		func() error { return s.runtime(ctx) },
		func() error { return s.control(ctx) },
	); err != nil {
		return err
	}
	if err := together(
		func() error { return s.ensure(ctx, s.controllerManager()) },
		func() error { return s.ensure(ctx, s.scheduler()) },
		func() error { return s.ensure(ctx, s.kubelet()) },
		func() error { return s.ensure(ctx, s.kubeProxy()) },
		func() error { return s.dns(ctx) },
		func() error { return s.agents(ctx) },
	); err != nil {
		return err
	}
	return s.ready(ctx)
}

// agents starts what enforces policies first, so that no pod is ever without.
func (s starter) agents(ctx context.Context) error {
	policies, err := s.policies()
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, policies); err != nil {
		return err
	}
	volumes, err := s.volumes()
	if err != nil {
		return err
	}
	if err := s.ensure(ctx, volumes); err != nil {
		return err
	}
	class, err := s.render("volumes.yaml")
	if err != nil {
		return err
	}
	return s.Apply(ctx, class)
}

func (s starter) runtime(ctx context.Context) error {
	if err := s.ensure(ctx, s.containerd()); err != nil {
		return err
	}
	return s.loadSystemImages(ctx)
}

func (s starter) control(ctx context.Context) error {
	if err := s.ensure(ctx, s.etcd()); err != nil {
		return err
	}
	return s.ensure(ctx, s.apiserver())
}

func (s starter) dns(ctx context.Context) error {
	manifest, err := s.render("coredns.yaml")
	if err != nil {
		return err
	}
	return s.Apply(ctx, manifest)
}

func (s starter) ready(ctx context.Context) error {
	for _, goal := range s.goals() {
		if err := await(ctx, time.Minute, goal.healthy); err != nil {
			return fmt.Errorf("%s: %w", goal.name, err)
		}
		s.say(goal.name)
	}
	return nil
}

// goal is something that several units together bring about.
type goal struct {
	name    string
	healthy probe
}

func (c *Cluster) goals() []goal {
	asking := func(ask func(context.Context, *api) error) probe {
		return func(ctx context.Context) error {
			client, err := c.api()
			if err != nil {
				return err
			}
			return ask(ctx, client)
		}
	}
	return []goal{
		{"node " + NodeName + " Ready", asking(func(ctx context.Context, a *api) error {
			return a.holds(ctx, "/api/v1/nodes/"+NodeName, "Ready")
		})},
		{"service accounts", asking(func(ctx context.Context, a *api) error {
			return a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		})},
		{"cluster DNS", asking(func(ctx context.Context, a *api) error {
			return a.holds(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available")
		})},
	}
}

// Apply applies manifests as the administrator.
func (c *Cluster) Apply(ctx context.Context, manifest []byte) error {
	cmd := exec.CommandContext(ctx, c.kubernetes("kubectl"), "--kubeconfig="+c.Kubeconfig(), "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = bytes.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Part is one thing of the cluster's state for a person to read; a nil Err means healthy.
type Part struct {
	Name string
	Err  error
}

// Status checks everything, side by side.
func (c *Cluster) Status(ctx context.Context) []Part {
	units, err := c.units()
	if err != nil {
		return []Part{{"configuration", err}}
	}
	goals := c.goals()
	all := make([]Part, len(units)+len(goals))
	var checks []func() error
	for i, u := range units {
		checks = append(checks, func() error { all[i] = Part{u.name(), c.check(ctx, u)}; return nil })
	}
	for i, g := range goals {
		checks = append(checks, func() error { all[len(units)+i] = Part{g.name, g.healthy(ctx)}; return nil })
	}
	_ = together(checks...)
	if !networkExists() {
		all = append([]Part{{"network", errors.New("the namespace or the veth pair is gone")}}, all...)
	}
	return all
}

// Check is the errors of Status.
func (c *Cluster) Check(ctx context.Context) error {
	var errs []error
	for _, part := range c.Status(ctx) {
		if part.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.Name, part.Err))
		}
	}
	return errors.Join(errs...)
}

func (c *Cluster) units() ([]unit, error) {
	postgres, err := c.postgres()
	if err != nil {
		return nil, err
	}
	redis, err := c.redis()
	if err != nil {
		return nil, err
	}
	volumes, err := c.volumes()
	if err != nil {
		return nil, err
	}
	policies, err := c.policies()
	if err != nil {
		return nil, err
	}
	return []unit{postgres, redis, volumes, policies, c.containerd(), c.etcd(), c.apiserver(), c.controllerManager(), c.scheduler(), c.kubelet(), c.kubeProxy()}, nil
}
