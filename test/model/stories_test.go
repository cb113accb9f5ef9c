package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the transcripts")

// stories are told in testdata, one file each.
var stories = []struct {
	file  string
	title string
	play  func(*teller)
}{
	{"installation", "First installation: the same machine, with nothing to go back to", func(s *teller) {
		s.ask("a", Good)
		s.rest()
	}},
	{"straight", "A good version replaces another", func(s *teller) {
		s.installed()
		s.ask("b", Good)
		s.rest()
	}},
	{"never-ready", "The pods of a version never get ready: nobody notices", func(s *teller) { s.failing(NeverReady) }},
	{"migration-fails", "The migration of a version fails: no pod of it is started", func(s *teller) { s.failing(MigrationFails) }},
	{"bad-image", "The image of a version cannot be pulled: its migration never starts, and ends with its Job", func(s *teller) { s.failing(NoImage) }},
	{"bad-image-undone", "The image of a version cannot be pulled, and the spec is reverted at once", func(s *teller) {
		s.installed()
		s.ask("b", NoImage)
		s.until(v1alpha1.StepMigrating)
		s.round()
		s.ask("a")
		s.rest()
	}},
	{"check-before-fails", "A check fails before the switch", func(s *teller) { s.failing(FailsBefore) }},
	{"worker-check-fails", "The workers of a version cannot reach the queue: seen before the switch", func(s *teller) { s.failing(WorkerCheckBad) }},
	{"tag-moves", "The tag of a version moves while its pods start: two images under one name are not promoted", func(s *teller) { s.failing(TwoImages) }},
	{"check-after-fails", "A check fails after the switch: users are taken back", func(s *teller) { s.failing(FailsAfter) }},
	{"check-sees-nothing", "Prometheus is away after the switch: users stay, and the rollout goes on when it is back", func(s *teller) {
		s.installed()
		s.edit("a query is to be asked after the switch", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Rollout.Checks = []v1alpha1.CheckSpec{{
				Name: "errors", Stage: v1alpha1.CheckPostPromotion, Type: v1alpha1.CheckPrometheus,
				Prometheus: &v1alpha1.PrometheusCheck{Query: "errors", Comparison: v1alpha1.ComparisonLessThan, Threshold: "1"},
			}}
		})
		s.ask("b", Unwatched)
		s.rest()
		s.c.Characters["b"] = Good
		s.say("Prometheus is back")
		s.rest()
	}},
	{"workers-fail", "The new workers never get ready: everything goes back", func(s *teller) { s.failing(WorkersFail) }},
	{"retry", "A failed version is tried again only when it is asked for", func(s *teller) {
		s.failing(NeverReady)
		s.c.Characters["b"] = Good
		s.say("what was wrong with b is mended")
		s.rest()
		s.edit("the retry token is changed", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Rollout.RetryToken = "2" })
		s.rest()
	}},
	{"revert-confirming", "The spec is reverted right after the switch", func(s *teller) { s.reverted(v1alpha1.StepConfirming) }},
	{"revert-handover", "The spec is reverted while the queue is handed over", func(s *teller) { s.reverted(v1alpha1.StepHandover) }},
	{"revert-retaining", "The spec is reverted while the old version is still warm", func(s *teller) { s.reverted(v1alpha1.StepRetaining) }},
	{"superseded", "A third version is asked for in every step", superseded},
	{"manual", "A person lets a version through", func(s *teller) {
		s.installed()
		s.edit("promotion is manual", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Rollout.Promotion = &v1alpha1.PromotionSpec{Mode: v1alpha1.PromotionManual}
		})
		s.ask("b", Good)
		s.rest()
		s.c.Now = s.c.Now.Add(72 * time.Hour)
		s.say("three days later")
		s.rest()
		s.edit("b is approved", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Rollout.Promotion.ApprovedRevision = "b" })
		s.rest()
	}},
	{"hibernate", "An instance sleeps and wakes, and sleeps in the middle of a rollout", func(s *teller) {
		s.installed()
		s.edit("the instance is hibernated", hibernate)
		s.rest()
		s.edit("the instance is woken", wake)
		s.rest()
		s.ask("b", Good)
		s.until(v1alpha1.StepVerifying)
		s.edit("the instance is hibernated", hibernate)
		s.rest()
		s.edit("the instance is woken", wake)
		s.rest()
	}},
	{"paused", "A rollout is paused, and told what it would do", func(s *teller) {
		s.installed()
		s.ask("b", Good)
		s.until(v1alpha1.StepScaling)
		s.edit("reconciliation is paused", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Reconciliation = v1alpha1.ReconciliationPaused })
		s.rest()
		s.edit("reconciliation goes on", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Reconciliation = "" })
		s.rest()
	}},
	{"status-lost", "The status is lost at rest, and after a switch", func(s *teller) {
		s.installed()
		s.lose()
		s.rest()
		s.ask("b", Good)
		s.until(v1alpha1.StepConfirming)
		s.lose()
		s.rest()
	}},
	{"operator-upgrade", "A new operator finds what the old one left: it changes nothing", func(s *teller) {
		s.installed()
		s.c.forget()
		s.say("the operator is replaced by one with new templates; the revision's own are stored")
		s.rest()
		s.ask("b", Good)
		s.until(v1alpha1.StepConfirming)
		s.c.forget()
		s.say("the operator is replaced in the middle of a rollout")
		s.rest()
	}},
	{"hold", "Failures are held for a person, who asks again, and then reverts", func(s *teller) {
		s.installed()
		s.edit("failures are to be held", hold)
		s.ask("b", FailsAfter)
		s.rest()
		s.edit("the retry token is changed", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Rollout.RetryToken = "2" })
		s.rest()
		s.ask("a")
		s.rest()
	}},
	{"hold-fix", "A held version is followed by its fix", func(s *teller) {
		s.installed()
		s.edit("failures are to be held", hold)
		s.ask("b", FailsAfter)
		s.rest()
		s.ask("c", Good)
		s.rest()
	}},
	{"first-fails", "The first version fails its checks: the next one takes its place", func(s *teller) {
		s.ask("a", FailsAfter)
		s.rest()
		s.ask("b", Good)
		s.rest()
	}},
	{"schema-refuses", "The database has moved on too far: going back is refused, going on is not", func(s *teller) {
		s.installed()
		s.ask("b", ContractsEarly, Level{Brings: 2, Drops: 2})
		s.until(v1alpha1.StepConfirming)
		s.ask("a")
		s.rest()
		s.ask("c", Good, Level{Brings: 2, Drops: 2})
		s.rest()
	}},
	{"expand-needs-approval", "An expand migration takes something away: refused, then asked for, then waiting, then approved", func(s *teller) {
		s.failing(TakesAway)
		s.edit("destructive migrations are to wait for approval, and b is tried again", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved}
			spec.Rollout.RetryToken = "2"
		})
		s.rest()
		s.edit("another migration is approved", approve("take-c"))
		s.rest()
		s.edit("take-b is approved", approve("take-b"))
		s.rest()
	}},
	{"contract-needs-approval", "A contract migration is left out until it is approved; then going back is refused", func(s *teller) {
		s.installed()
		s.ask("b", Good, Level{Brings: 2, Drops: 2})
		s.rest()
		s.edit("drop-to-2 is approved", approve("drop-to-2"))
		s.rest()
		s.ask("a")
		s.rest()
	}},
	{"contract-approved-before", "A contract migration is approved before its version comes", func(s *teller) {
		s.installed()
		s.edit("drop-to-2 is approved", approve("drop-to-2"))
		s.ask("b", Good, Level{Brings: 2, Drops: 2})
		s.rest()
	}},
	{"own-migrations", "A person migrates: no Job does", func(s *teller) {
		s.installed()
		s.edit("migrations are the user's", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Rollout.Migration = &v1alpha1.MigrationSpec{Policy: v1alpha1.MigrationDisabled}
		})
		s.c.Database.Current = 2
		s.ask("b", Good, Level{Brings: 2, Drops: 2})
		s.rest()
	}},
	{"overlap-forbidden", "Old and new workers never meet, there and back", func(s *teller) {
		s.installed()
		s.edit("workers must not overlap", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Rollout.Workers = &v1alpha1.WorkerHandoverSpec{Overlap: v1alpha1.WorkerOverlapForbidden}
		})
		s.ask("b", Good)
		s.until(v1alpha1.StepRetaining)
		s.ask("a")
		s.rest()
	}},
	{"autoscaling", "The candidate starts at what the active color runs now", func(s *teller) {
		s.installed()
		s.edit("the API is autoscaled", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.API.Replicas, spec.API.Autoscaling = 0, &v1alpha1.AutoscalingSpec{MinReplicas: 1, MaxReplicas: 8}
		})
		s.rest()
		for i := range s.c.deployments {
			s.c.deployments[i].load = 6
		}
		s.say("there is work for six pods")
		s.rest()
		s.ask("b", Good)
		s.rest()
		s.edit("the API has a fixed size again", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.API.Replicas, spec.API.Autoscaling = 3, nil
		})
		s.rest()
	}},
	{"frontend-disabled", "The frontend is disabled, which is a revision too, and enabled again", func(s *teller) {
		s.installed()
		s.edit("the frontend is disabled", func(spec *v1alpha1.EngLogInstanceSpec) {
			spec.Frontend = &v1alpha1.FrontendSpec{Mode: v1alpha1.ModeDisabled}
		})
		s.ask("b", Good)
		s.rest()
		s.edit("the frontend is enabled", func(spec *v1alpha1.EngLogInstanceSpec) { spec.Frontend = nil })
		s.ask("c", Good)
		s.rest()
	}},
	{"drift", "A person moves a route and undoes a Deployment: both are taken back", func(s *teller) {
		s.installed()
		s.ask("b", Good)
		s.until(v1alpha1.StepRetaining)
		live := &s.c.live[routeIndex(v1alpha1.API)]
		live.color, live.revision, live.author, live.version, s.c.routes = v1alpha1.Blue, "a", person, s.c.next(), nil
		s.say("a person moves the API's route back to a")
		s.rest()
		d := s.c.touch(3)
		d.Revision = "a"
		s.c.changed(d)
		s.say("a person undoes the API's Deployment in green")
		s.rest()
	}},
}

func approve(migration string) func(*v1alpha1.EngLogInstanceSpec) {
	return func(spec *v1alpha1.EngLogInstanceSpec) {
		spec.Rollout.Migration = &v1alpha1.MigrationSpec{Destructive: v1alpha1.DestructiveWhenApproved, ApprovedMigration: migration}
	}
}

func hibernate(spec *v1alpha1.EngLogInstanceSpec) { spec.Activity = v1alpha1.ActivityHibernated }
func wake(spec *v1alpha1.EngLogInstanceSpec)      { spec.Activity = "" }
func hold(spec *v1alpha1.EngLogInstanceSpec)      { spec.Rollout.OnFailure = v1alpha1.OnFailureHold }

func (s *teller) failing(as Character) {
	s.installed()
	s.ask("b", as)
	s.rest()
}

func (s *teller) reverted(in v1alpha1.Step) {
	s.installed()
	s.ask("b", Good)
	s.until(in)
	s.ask("a")
	s.rest()
}

func (s *teller) lose() {
	s.c.setStatus(v1alpha1.EngLogInstanceStatus{})
	s.c.disown()
	s.say("the status is lost")
}

// superseded tells a rollout for each step, with a third version asked for in it.
func superseded(s *teller) {
	for _, step := range Steps[1:] {
		part := newTeller(s.t, s.rand)
		part.installed()
		switch step {
		case v1alpha1.StepAborting:
			part.ask("b", FailsBefore)
		case v1alpha1.StepRollingBack:
			part.ask("b", FailsAfter)
		default:
			part.ask("b", Good)
		}
		part.until(step)
		part.out.Reset()
		part.ask("c", Good)
		part.rest()
		fmt.Fprintf(&s.out, "\n== in %s\n%s", step, part.out.String())
	}
}

// TestTranscripts compares each story with its transcript: go test -run TestTranscripts -update writes them.
func TestTranscripts(t *testing.T) {
	for _, story := range stories {
		t.Run(story.file, func(t *testing.T) {
			s := newTeller(t, nil)
			story.play(s)
			got := "# " + story.title + "\n" + s.out.String()
			file := filepath.Join("testdata", story.file+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what happens now:\n%s", file, difference(string(want), got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			from := max(i-3, 0)
			return fmt.Sprintf("line %d\nwant:\n%s\ngot:\n%s", i+1, strings.Join(w[from:min(i+4, len(w))], "\n"), strings.Join(g[from:min(i+4, len(g))], "\n"))
		}
	}
	return ""
}

// TestStoriesInAnyOrder plays each story with pods, Jobs, endpoints and checks in random order: all have to end as the transcript does.
func TestStoriesInAnyOrder(t *testing.T) {
	for _, story := range stories {
		t.Run(story.file, func(t *testing.T) {
			orderly := newTeller(t, nil)
			story.play(orderly)
			want := ends(orderly.out.String())
			for seed := range uint64(20) {
				s := newTeller(t, rand.New(rand.NewPCG(seed, 2))) //nolint:gosec // replayable, not secret
				story.play(s)
				if got := ends(s.out.String()); got != want {
					t.Fatalf("seed %d ends\n%s\nwant\n%s\n%s", seed, got, want, s.out.String())
				}
			}
		})
	}
}

// ends are the lines that say where things are at rest.
func ends(transcript string) string {
	var all []string
	for line := range strings.Lines(transcript) {
		if strings.HasPrefix(line, "          = ") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}
