package revision

import "github.com/garnizeh/englog-operator/api/v1alpha1"

const (
	// reserved connections are for what runs beside the components: a migration needs one to work and one to hold its lock.
	reserved = 2
	// leastPool is the smallest pool that a pod can work with.
	leastPool = 2
)

// Connections is the size of one pod's pool (X11) for a revision of a resolved spec: the budget without what is reserved, shared by the most
// pods that the spec lets both colors run, within what one pod may have.
func Connections(s *v1alpha1.EngLogInstanceSpec) int32 {
	share := (s.Database.MaxConnections - reserved) / max(2*(mostAPIs(s)+mostWorkers(s)), 1)
	return min(max(share, leastPool), s.Database.MaxConnectionsPerPod)
}

// comfortable is a pool in which one slow query or one transaction does not hold the whole pod up. Below it pods work, and wait for each other.
const comfortable = 5

// Tight says whether the budget alone leaves a pod less than a comfortable pool, and the budget that would not.
func Tight(s *v1alpha1.EngLogInstanceSpec) (needed int32, tight bool) {
	want := min(comfortable, s.Database.MaxConnectionsPerPod)
	return 2*(mostAPIs(s)+mostWorkers(s))*want + reserved, Connections(s) < want
}

// Ceiling is how many pods of API and workers one color may run at most when each has a pool of this size: what the spec wants, or its share
// of what the budget allows. A revision keeps its pool, so the ceiling is that of the revision which runs.
func Ceiling(s *v1alpha1.EngLogInstanceSpec, connections int32) (apis, workers int32) {
	wantAPIs, wantWorkers := mostAPIs(s), mostWorkers(s)
	room := (s.Database.MaxConnections - reserved) / max(connections, 1) / 2
	if wantAPIs+wantWorkers <= room {
		return wantAPIs, wantWorkers
	}
	workers = min(wantWorkers, max(int32(int64(room)*int64(wantWorkers)/int64(wantAPIs+wantWorkers)), 1))
	return max(min(wantAPIs, room-workers), 1), workers
}

func mostAPIs(s *v1alpha1.EngLogInstanceSpec) int32 { return most(s.API.Replicas, s.API.Autoscaling) }

func mostWorkers(s *v1alpha1.EngLogInstanceSpec) int32 {
	if a := s.Worker.Autoscaling; a != nil {
		return most(s.Worker.Replicas, &a.AutoscalingSpec)
	}
	return most(s.Worker.Replicas, nil)
}

func most(replicas int32, bounds *v1alpha1.AutoscalingSpec) int32 {
	if bounds != nil {
		return bounds.MaxReplicas
	}
	return max(replicas, 1)
}
