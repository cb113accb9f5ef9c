// Package guard holds the named conditions that a rollout has to meet before it takes an edge of the state machine. A Chain is a slice of
// guards: it is the documentation of the edge, its test table, and the source of the reasons that users read.
//
// It must never import a Kubernetes client, read a clock or do I/O.
package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Subject is what guards judge: one world, and the revision that is about to move.
type Subject struct {
	World *world.World
	// Status is the persisted status.
	Status *v1alpha1.EngLogInstanceStatus
	Now    time.Time
	// Mover is the revision in its color that the edge is about: the candidate before the switch, the previous revision for a
	// rollback.
	Mover v1alpha1.RevisionStatus
	// Required is the number of ready pods that each routed component of the mover needs.
	Required map[v1alpha1.ComponentName]int32
	// Checks are the checks that have to have passed, by their IDs, with the names users know.
	Checks map[string]string
	// MinReady is how long a pod has to have been ready.
	MinReady time.Duration
}

// Verdict is the judgement of one guard.
type Verdict struct {
	OK      bool
	Reason  string
	Message string
}

// Guard judges one condition.
type Guard func(Subject) Verdict

// Chain is what an edge asks for, in the order in which a person would check it.
type Chain []Guard

// Check returns the first refusal, or an OK verdict.
func (c Chain) Check(s Subject) Verdict {
	for _, g := range c {
		if v := g(s); !v.OK {
			return v
		}
	}
	return pass
}

var pass = Verdict{OK: true}

func refuse(reason, format string, args ...any) Verdict {
	return Verdict{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// The edges.
var (
	// ToMigrating lets the candidate's migration start.
	ToMigrating = Chain{NoForeignObjects, ReferencesResolve, StoresReady, SnapshotStored, SlotEmpty, NoOtherMigration}
	// ToVerifying lets the candidate be checked.
	ToVerifying = Chain{RevisionComplete, EnoughReady, EndpointsConverged}
	// ToAwaiting lets the candidate wait for promotion.
	ToAwaiting = Chain{RevisionComplete, EnoughReady, OneImage, ChecksPassed}
	// ToSwitching lets users' traffic move to the candidate. It is judged again at the write itself.
	ToSwitching = Chain{RevisionComplete, EnoughReady, EndpointsConverged, OneImage}
	// ToHandover lets the workers follow.
	ToHandover = Chain{ChecksPassed}
	// ToRepair lets a route that somebody else has moved be taken back.
	ToRepair = Chain{RevisionComplete, EnoughReady}
	// ToGoBack lets a rollback begin, and a rollout to an earlier revision.
	ToGoBack = Chain{SchemaStillFits}
	// ToRollBack lets users' traffic move back. It is judged at the write itself, right after ToGoBack.
	ToRollBack = Chain{RevisionComplete, EnoughReady, EndpointsConverged}
	// ToScaleDown lets pods that served users go away.
	ToScaleDown = Chain{NoRouteLeads, NoWeightLeads, NoTraffic}
)

// NoForeignObjects refuses while an object that is not ours has one of our names.
func NoForeignObjects(s Subject) Verdict { return none("NameConflict", s.World.Conflicts) }

// ReferencesResolve refuses while a Secret or key that the spec names is missing.
func ReferencesResolve(s Subject) Verdict { return none("ReferenceMissing", s.World.Missing) }

func none(reason string, problems []world.Problem) Verdict {
	if len(problems) == 0 {
		return pass
	}
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	if problems[0].Reason != "" {
		reason = problems[0].Reason
	}
	return refuse(reason, "%s", strings.Join(messages, "; "))
}

// StoresReady refuses while a Managed store is not up.
func StoresReady(s Subject) Verdict {
	names := make([]string, 0, len(s.World.Stores))
	for name, store := range s.World.Stores {
		if !store.Ready {
			names = append(names, fmt.Sprintf("%s (%s)", name, store.Problem))
		}
	}
	if len(names) == 0 {
		return pass
	}
	slices.Sort(names)
	return refuse("StoreNotReady", "waiting for the managed %s", strings.Join(names, " and "))
}

// SnapshotStored refuses until the candidate's configuration and templates are stored in the cluster.
func SnapshotStored(s Subject) Verdict {
	known, ok := s.World.Known[s.Mover.Revision]
	if !ok || known.Config == "" {
		return refuse("SnapshotMissing", "storing the templates and configuration of revision %s", s.Mover.Revision)
	}
	return pass
}

// SlotEmpty refuses while ready pods of another revision are left in the candidate's color. Pods that are not ready, such as those on a
// dead node, do not block.
func SlotEmpty(s Subject) Verdict {
	for _, c := range world.Components {
		if n := s.World.Workloads[world.Slot{Component: c, Color: s.Mover.Color}].OthersReady(s.Mover.Revision); n > 0 {
			return refuse("ColorOccupied", "%d %s pods of an earlier revision still run in %s", n, c, strings.ToLower(string(s.Mover.Color)))
		}
	}
	return pass
}

// NoOtherMigration refuses while a migration Job of another revision has not ended: two must never run at once, and one that runs is
// awaited, not killed.
func NoOtherMigration(s Subject) Verdict {
	names := make([]string, 0, len(s.World.Jobs))
	for name, job := range s.World.Jobs {
		if job.Component == "migrate" && job.Phase == world.JobActive && job.Revision != s.Mover.Revision {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return pass
	}
	slices.Sort(names)
	return refuse("MigrationRunning", "waiting for migration Job %s of an earlier attempt to end", names[0])
}

// RevisionComplete refuses unless each routed component's Deployment carries the mover's templates.
func RevisionComplete(s Subject) Verdict {
	for _, c := range routed(s) {
		w := s.World.Workloads[world.Slot{Component: c, Color: s.Mover.Color}]
		if !w.Exists || w.Revision != s.Mover.Revision {
			return refuse("RevisionIncomplete", "the %s Deployment in %s does not carry revision %s yet", c, strings.ToLower(string(s.Mover.Color)), s.Mover.Revision)
		}
	}
	return pass
}

// EnoughReady refuses until each routed component has as many ready pods as the active color had. Pods beyond the size of their Deployment
// are about to go and do not count.
func EnoughReady(s Subject) Verdict {
	for _, c := range routed(s) {
		w := s.World.Workloads[world.Slot{Component: c, Color: s.Mover.Color}]
		ready, required := min(seasoned(w, s), w.Replicas), max(s.Required[c], 1)
		if ready < required {
			return refuse("NotEnoughReady", "%d of %d %s pods are ready in %s%s", ready, required, c, strings.ToLower(string(s.Mover.Color)), complaints(w, s.Mover.Revision))
		}
	}
	return pass
}

func seasoned(w world.Workload, s Subject) int32 {
	if s.MinReady <= 0 {
		return w.Ready(s.Mover.Revision)
	}
	var n int32
	for _, p := range w.Pods {
		if p.Ready && !p.Terminating && p.Revision == s.Mover.Revision && s.Now.Sub(p.ReadySince) >= s.MinReady {
			n++
		}
	}
	return n
}

// complaints says what keeps pods from running, once each.
func complaints(w world.Workload, revision string) string {
	seen := map[string]bool{}
	var all []string
	for _, p := range w.Pods {
		if p.Revision != revision || p.Ready {
			continue
		}
		for _, complaint := range []string{p.Unschedulable, p.Waiting} {
			if complaint != "" && !seen[complaint] {
				seen[complaint] = true
				all = append(all, complaint)
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return ": " + strings.Join(all, "; ")
}

// EndpointsConverged refuses until the color's own Services list exactly its ready pods, so that the network agrees with the kubelet.
func EndpointsConverged(s Subject) Verdict {
	for _, c := range routed(s) {
		slot := world.Slot{Component: c, Color: s.Mover.Color}
		of, others := s.World.Previews[slot].Of(s.Mover.Revision)
		if required := max(s.Required[c], 1); of < required || others > 0 {
			return refuse("EndpointsBehind", "the %s Service of %s lists %d of %d endpoints", c, strings.ToLower(string(s.Mover.Color)), of, required)
		}
	}
	return pass
}

// OneImage refuses when the pods of one component run different images under the same name: a tag that moved while they started.
func OneImage(s Subject) Verdict {
	for _, c := range routed(s) {
		ids := map[string]bool{}
		for _, p := range s.World.Workloads[world.Slot{Component: c, Color: s.Mover.Color}].Pods {
			if p.Revision == s.Mover.Revision && p.Ready && p.ImageID != "" {
				ids[p.ImageID] = true
			}
		}
		if len(ids) > 1 {
			return refuse("ImageMoved", "the %s pods of revision %s run %d different images: the tag was moved while they started; name a digest or retry", c, s.Mover.Revision, len(ids))
		}
	}
	return pass
}

// ChecksPassed refuses until every check has passed.
func ChecksPassed(s Subject) Verdict {
	ids := make([]string, 0, len(s.Checks))
	for id := range s.Checks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		f := s.World.Findings[id]
		if f.Result != v1alpha1.CheckPassed {
			return refuse("ChecksRunning", "check %s has not passed yet%s", s.Checks[id], because(f.Message))
		}
	}
	return pass
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// SchemaStillFits refuses to go back to a binary that the database has left behind.
func SchemaStillFits(s Subject) Verdict {
	schema := s.Status.Schema
	if schema == nil {
		return pass
	}
	for _, l := range schema.Levels {
		if l.Revision == s.Mover.Revision && l.Level < schema.OldestCompatible {
			return refuse("SchemaTooNew", "revision %s knows schema level %d, but the database needs at least %d since its contract migration; roll forward instead", l.Revision, l.Level, schema.OldestCompatible)
		}
	}
	return pass
}

// NoRouteLeads refuses while a live route names the mover.
func NoRouteLeads(s Subject) Verdict {
	for _, c := range world.Routed {
		r := s.World.Routes[c]
		if r.Exists && r.Revision == s.Mover.Revision && r.Color == s.Mover.Color {
			return refuse("RouteLeadsHere", "the live %s route still names %s", c, s.Mover.Revision)
		}
	}
	return pass
}

// NoWeightLeads refuses while a route gives weight to the mover's color.
func NoWeightLeads(s Subject) Verdict {
	for _, c := range world.Routed {
		if s.World.Weighted[c].Reaches(s.Mover.Color) {
			return refuse("RouteLeadsHere", "the %s route still gives weight to %s", c, strings.ToLower(string(s.Mover.Color)))
		}
	}
	return pass
}

// NoTraffic refuses while endpoints of the mover are still behind a live Service.
func NoTraffic(s Subject) Verdict {
	for _, c := range world.Routed {
		if of, _ := s.World.Routes[c].Endpoints.Of(s.Mover.Revision); of > 0 {
			return refuse("EndpointsLeadHere", "the live %s Service still lists %d endpoints of %s", c, of, s.Mover.Revision)
		}
	}
	return pass
}

// routed lists the components of the mover that users reach.
func routed(s Subject) []v1alpha1.ComponentName {
	var list []v1alpha1.ComponentName
	for _, c := range world.Routed {
		if _, needed := s.Required[c]; needed {
			list = append(list, c)
		}
	}
	return list
}
