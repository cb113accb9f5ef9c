package plan

import (
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Policy is the part of a spec that steers rollouts, in the units that decisions use.
type Policy struct {
	Progress      time.Duration
	Confirm       time.Duration
	Retention     time.Duration
	Propagation   time.Duration
	PromoteDelay  time.Duration
	WorkerDrain   time.Duration
	Manual        bool
	Approved      string
	HoldOnFailure bool
	ForbidOverlap bool
	RetryToken    string
	Paused        bool
	DryRun        bool
	Hibernated    bool
	Frontend      bool
	Checks        []v1alpha1.CheckSpec
	HistoryLimit  int
	// OwnMigrations is true while the user migrates.
	OwnMigrations bool
	// MayDestroy is true while destructive migrations wait for approval and are not refused; MigrationApproved names the newest that may run.
	MayDestroy        bool
	MigrationApproved string
	Sizes             map[v1alpha1.ComponentName]Size
}

// Size is how many pods a component is to have: a fixed number, or the bounds of its autoscaler.
type Size struct {
	Fixed    int32
	Min, Max int32
	Auto     bool
}

// Clamp keeps a floor within what the autoscaler may reach.
func (s Size) Clamp(n int32) int32 {
	if s.Auto {
		return min(max(n, s.Min), s.Max)
	}
	return n
}

// Base is the number of pods to start from.
func (s Size) Base() int32 {
	if s.Auto {
		return s.Min
	}
	return s.Fixed
}

// policyOf reads the policy from a spec whose defaults are filled in.
func policyOf(spec *v1alpha1.EngLogInstanceSpec) Policy {
	p := Policy{
		Paused:     spec.Reconciliation == v1alpha1.ReconciliationPaused,
		DryRun:     spec.Reconciliation == v1alpha1.ReconciliationDryRun,
		Hibernated: spec.Activity == v1alpha1.ActivityHibernated,
		Frontend:   spec.Frontend == nil || spec.Frontend.Mode != v1alpha1.ModeDisabled,
		Sizes:      sizesOf(spec),
	}
	if spec.Worker != nil {
		p.WorkerDrain = seconds(spec.Worker.DrainTimeoutSeconds)
	}
	r := spec.Rollout
	if r == nil {
		r = &v1alpha1.RolloutSpec{}
	}
	p.Progress = seconds(r.ProgressDeadlineSeconds)
	p.Confirm = seconds(value(r.ConfirmSeconds))
	p.Retention = seconds(r.RetentionSeconds)
	p.HoldOnFailure = r.OnFailure == v1alpha1.OnFailureHold
	p.RetryToken = r.RetryToken
	p.Checks = r.Checks
	p.HistoryLimit = int(r.RevisionHistoryLimit)
	if t := r.Traffic; t != nil {
		p.Propagation = seconds(value(t.PropagationSeconds))
	}
	if w := r.Workers; w != nil {
		p.ForbidOverlap = w.Overlap == v1alpha1.WorkerOverlapForbidden
	}
	if migration := r.Migration; migration != nil {
		p.OwnMigrations = migration.Policy == v1alpha1.MigrationDisabled
		if p.MayDestroy = migration.Destructive == v1alpha1.DestructiveWhenApproved; p.MayDestroy {
			p.MigrationApproved = migration.ApprovedMigration
		}
	}
	if promotion := r.Promotion; promotion != nil {
		p.Manual = promotion.Mode == v1alpha1.PromotionManual
		p.Approved = promotion.ApprovedRevision
		p.PromoteDelay = seconds(value(promotion.DelaySeconds))
	}
	return p
}

func sizesOf(spec *v1alpha1.EngLogInstanceSpec) map[v1alpha1.ComponentName]Size {
	sizes := map[v1alpha1.ComponentName]Size{}
	if c := spec.API; c != nil {
		sizes[v1alpha1.API] = sizeOf(c.Replicas, c.Autoscaling)
	}
	if c := spec.Frontend; c != nil {
		sizes[v1alpha1.Frontend] = sizeOf(c.Replicas, c.Autoscaling)
	}
	if c := spec.Worker; c != nil {
		var bounds *v1alpha1.AutoscalingSpec
		if c.Autoscaling != nil {
			bounds = &c.Autoscaling.AutoscalingSpec
		}
		sizes[v1alpha1.Worker] = sizeOf(c.Replicas, bounds)
	}
	return sizes
}

func sizeOf(replicas int32, bounds *v1alpha1.AutoscalingSpec) Size {
	if bounds == nil {
		return Size{Fixed: max(replicas, 1)}
	}
	return Size{Auto: true, Min: max(bounds.MinReplicas, 1), Max: max(bounds.MaxReplicas, 1)}
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

func value(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

// size is how many pods a component is to have.
func (m *machine) size(c v1alpha1.ComponentName) Size {
	if s, ok := m.policy.Sizes[c]; ok {
		return s
	}
	return Size{Fixed: 1}
}

func (m *machine) historyLimit() int { return min(max(m.policy.HistoryLimit, 2), 20) }
