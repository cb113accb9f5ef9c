package model

import (
	"time"

	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Mutant is one way to be wrong. The checker has to notice each.
type Mutant struct {
	Name string
	// Lax leaves out rules of the API server.
	Lax laxity
	// Decide falsifies a decision.
	Decide func(w *world.World, now time.Time) plan.Plan
}

// next is the planner's decision, or what the mutant makes of it.
func (m *Mutant) next(w *world.World, now time.Time) plan.Plan {
	if m == nil || m.Decide == nil {
		return plan.Next(w, now)
	}
	return m.Decide(w, now)
}
