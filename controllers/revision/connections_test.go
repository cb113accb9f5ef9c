package revision

import (
	"fmt"
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// X11: whatever the spec, both colors at their largest stay within the connection budget, once the pods are no more
// than Ceiling allows.
func TestConnectionBudget(t *testing.T) {
	for _, c := range []struct {
		budget, perPod, api, worker, want, apis, workers int32
	}{
		{90, 25, 1, 1, 22, 1, 1},   // development: all of it shared by four pods
		{90, 25, 20, 2, 2, 20, 2},  // production's defaults just fit
		{90, 25, 40, 10, 2, 18, 4}, // too many pods: the pool stays workable and the pods are capped
		{90, 25, 1000, 1, 2, 21, 1},
		{1000, 25, 3, 2, 25, 3, 2},
		{500, 10, 4, 4, 10, 4, 4},
		{10, 2, 1, 1, 2, 1, 1},
	} {
		t.Run(fmt.Sprintf("X11 %v", c), func(t *testing.T) {
			spec := v1alpha1.EngLogInstanceSpec{Database: v1alpha1.DatabaseSpec{MaxConnections: c.budget, MaxConnectionsPerPod: c.perPod}}
			spec.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MaxReplicas: c.api}}
			spec.Worker = &v1alpha1.WorkerSpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: c.worker}}
			pool := Connections(&spec)
			apis, workers := Ceiling(&spec, pool)
			if pool != c.want || apis != c.apis || workers != c.workers {
				t.Errorf("got pools of %d for %d APIs and %d workers, want %d for %d and %d", pool, apis, workers, c.want, c.apis, c.workers)
			}
			needed, tight := Tight(&spec)
			if tight != (pool < 5 && pool < c.perPod) {
				t.Errorf("pools of %d are tight: %t", pool, tight)
			}
			spec.Database.MaxConnections = max(needed, c.budget)
			if _, still := Tight(&spec); still {
				t.Errorf("a budget of %d is still tight", needed)
			}
			if total := 2*(apis+workers)*pool + reserved; total > c.budget {
				t.Errorf("both colors could open %d of %d connections", total, c.budget)
			}
		})
	}
}
