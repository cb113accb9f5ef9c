package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/world"
)

var (
	now  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	slot = world.Slot{Component: v1alpha1.API, Color: v1alpha1.Green}
)

// fine is a subject that every guard lets pass; each test breaks one thing of it.
func fine() Subject {
	pod := world.Pod{Name: "p", Revision: "new", Ready: true, ReadySince: now.Add(-time.Minute), ImageID: "sha256:1"}
	return Subject{
		World: &world.World{
			Known:     map[string]world.Known{"new": {Config: "demo-config-new"}},
			Workloads: map[world.Slot]world.Workload{slot: {Exists: true, Revision: "new", Replicas: 1, Pods: []world.Pod{pod}}},
			Previews:  map[world.Slot]world.Endpoints{slot: {Ready: map[string]int32{"new": 1}}},
			Routes:    map[v1alpha1.ComponentName]world.Route{v1alpha1.API: {Exists: true, Color: v1alpha1.Blue, Revision: "old"}},
			Jobs:      map[string]world.Job{},
			Stores:    map[v1alpha1.ComponentName]world.Store{"database": {Ready: true}},
			Findings:  map[string]world.Finding{"id": {Result: v1alpha1.CheckPassed}},
		},
		Status:   &v1alpha1.EngLogInstanceStatus{Schema: &v1alpha1.SchemaStatus{OldestCompatible: 2, Levels: []v1alpha1.RevisionLevel{{Revision: "new", Level: 2}}}},
		Now:      now,
		Mover:    v1alpha1.RevisionStatus{Color: v1alpha1.Green, Revision: "new"},
		Required: map[v1alpha1.ComponentName]int32{v1alpha1.API: 1},
		Checks:   map[string]string{"id": "smoke"},
	}
}

func pods(s Subject, change func(*world.Workload)) {
	w := s.World.Workloads[slot]
	change(&w)
	s.World.Workloads[slot] = w
}

func TestGuards(t *testing.T) {
	tests := map[string]struct {
		guard Guard
		spoil func(*Subject)
		// reason and message are what the refusal has to say; message in part.
		reason, message string
	}{
		"a foreign object has our name": {
			NoForeignObjects, func(s *Subject) { s.World.Conflicts = []world.Problem{{Message: "Service demo-api exists"}} }, "NameConflict", "Service demo-api",
		},
		"a key is missing": {
			ReferencesResolve, func(s *Subject) {
				s.World.Missing = []world.Problem{{Reason: "ReferenceMissing", Message: "no key uri"}, {Message: "no key JWT_SECRET"}}
			}, "ReferenceMissing", "no key uri; no key JWT_SECRET",
		},
		"the managed database starts": {
			StoresReady, func(s *Subject) { s.World.Stores["database"] = world.Store{Problem: "its pod is not ready"} }, "StoreNotReady", "database (its pod is not ready)",
		},
		"the snapshot is not stored": {
			SnapshotStored, func(s *Subject) { delete(s.World.Known, "new") }, "SnapshotMissing", "new",
		},
		"the configuration is not stored": {
			SnapshotStored, func(s *Subject) { s.World.Known["new"] = world.Known{} }, "SnapshotMissing", "new",
		},
		"pods of an earlier revision still answer": {
			SlotEmpty, func(s *Subject) {
				pods(*s, func(w *world.Workload) {
					w.Pods = append(w.Pods, world.Pod{Revision: "older", Ready: true, Terminating: true})
				})
			}, "ColorOccupied", "1 api pods",
		},
		"another revision migrates": {
			NoOtherMigration, func(s *Subject) {
				s.World.Jobs["demo-migrate-other-1"] = world.Job{Component: "migrate", Revision: "other", Phase: world.JobActive}
			}, "MigrationRunning", "demo-migrate-other-1",
		},
		"the Deployment still has an old template": {
			RevisionComplete, func(s *Subject) { pods(*s, func(w *world.Workload) { w.Revision = "older" }) }, "RevisionIncomplete", "api",
		},
		"too few pods are ready": {
			EnoughReady, func(s *Subject) {
				s.Required[v1alpha1.API] = 2
				pods(*s, func(w *world.Workload) {
					w.Pods = append(w.Pods, world.Pod{Revision: "new", Waiting: "ImagePullBackOff: no such image"})
				})
			}, "NotEnoughReady", "1 of 2 api pods are ready in green: ImagePullBackOff",
		},
		"a ready pod is on its way out": {
			EnoughReady, func(s *Subject) { pods(*s, func(w *world.Workload) { w.Pods[0].Terminating = true }) }, "NotEnoughReady", "0 of 1",
		},
		"a ready pod is one too many for its Deployment": {
			EnoughReady, func(s *Subject) { pods(*s, func(w *world.Workload) { w.Replicas = 0 }) }, "NotEnoughReady", "0 of 1",
		},
		"a pod is ready for too short a time": {
			EnoughReady, func(s *Subject) {
				s.MinReady = time.Second
				pods(*s, func(w *world.Workload) { w.Pods[0].ReadySince = now })
			}, "NotEnoughReady", "0 of 1",
		},
		"zero pods are never enough": {
			EnoughReady, func(s *Subject) {
				s.Required[v1alpha1.API] = 0
				pods(*s, func(w *world.Workload) { w.Pods = nil })
			}, "NotEnoughReady", "0 of 1",
		},
		"the endpoints lag": {
			EndpointsConverged, func(s *Subject) { s.World.Previews[slot] = world.Endpoints{} }, "EndpointsBehind", "0 of 1",
		},
		"the endpoints are mixed": {
			EndpointsConverged, func(s *Subject) { s.World.Previews[slot].Ready["old"] = 1 }, "EndpointsBehind", "api",
		},
		"a tag moved": {
			OneImage, func(s *Subject) {
				pods(*s, func(w *world.Workload) {
					w.Pods = append(w.Pods, world.Pod{Revision: "new", Ready: true, ImageID: "sha256:2"})
				})
			}, "ImageMoved", "2 different images",
		},
		"a check still runs": {
			ChecksPassed, func(s *Subject) {
				s.World.Findings["id"] = world.Finding{Result: v1alpha1.CheckRunning, Message: "2 of 5"}
			}, "ChecksRunning", "smoke has not passed yet: 2 of 5",
		},
		"a check is inconclusive": {
			ChecksPassed, func(s *Subject) { s.World.Findings["id"] = world.Finding{Result: v1alpha1.CheckInconclusive} }, "ChecksRunning", "smoke",
		},
		"the schema has left the revision behind": {
			SchemaStillFits, func(s *Subject) { s.Status.Schema.OldestCompatible = 3 }, "SchemaTooNew", "knows schema level 2, but the database needs at least 3",
		},
		"a route names the revision": {
			NoRouteLeads, func(s *Subject) {
				s.World.Routes[v1alpha1.API] = world.Route{Exists: true, Color: v1alpha1.Green, Revision: "new"}
			}, "RouteLeadsHere", "api",
		},
		"endpoints are still behind the live Service": {
			NoTraffic, func(s *Subject) {
				s.World.Routes[v1alpha1.API] = world.Route{Exists: true, Endpoints: world.Endpoints{Ready: map[string]int32{"new": 3}}}
			}, "EndpointsLeadHere", "3 endpoints",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := fine()
			if v := test.guard(s); !v.OK {
				t.Fatalf("refuses a subject that is fine: %s", v.Message)
			}
			test.spoil(&s)
			v := test.guard(s)
			if v.OK || v.Reason != test.reason || !strings.Contains(v.Message, test.message) {
				t.Errorf("got %+v, want %s with %q", v, test.reason, test.message)
			}
		})
	}
}

func TestChainReturnsTheFirstRefusal(t *testing.T) {
	s := fine()
	s.World.Missing = []world.Problem{{Message: "no key uri"}}
	delete(s.World.Known, "new")
	if v := ToMigrating.Check(s); v.Reason != "ReferenceMissing" {
		t.Errorf("got %+v", v)
	}
	if v := ToSwitching.Check(fine()); !v.OK {
		t.Errorf("got %+v", v)
	}
}
