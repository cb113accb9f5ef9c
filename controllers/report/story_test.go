package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/world"
	"github.com/garnizeh/englog-operator/test/model"
)

// story plays the real planner on a simulated cluster and keeps each status that is written.
type story struct {
	*model.Cluster
	written []v1alpha1.EngLogInstanceStatus
	rounds  int
}

func newStory() *story {
	confirm := int32(10)
	return &story{Cluster: model.NewCluster(v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentStaging,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		API:     &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 2}},
		Rollout: &v1alpha1.RolloutSpec{ConfirmSeconds: &confirm, RetentionSeconds: 60, ProgressDeadlineSeconds: 60},
	})}
}

// install brings the first revision up and forgets how.
func (s *story) install(t *testing.T) {
	t.Helper()
	s.Target = "a"
	s.play(t)
	s.written, s.rounds = nil, 0
}

// play goes on until nothing moves any more and no timer is set.
func (s *story) play(t *testing.T) {
	t.Helper()
	for range 400 {
		wrote, p := s.round(t)
		if moved := s.Settle(); wrote || moved {
			continue
		}
		if p.Wake.IsZero() {
			return
		}
		if p.Wake.After(s.Now) {
			s.Now = p.Wake
		}
	}
	t.Fatalf("no rest in step %s", stepOf(&s.Instance.Status))
}

func (s *story) round(t *testing.T) (wrote bool, p plan.Plan) {
	t.Helper()
	w := s.Observe()
	p = plan.Next(w, s.Now)
	s.Watch(p.Probes)
	s.rounds++
	for _, write := range p.Writes {
		changed, err := s.Apply(write)
		if err != nil {
			return true, p
		}
		wrote = wrote || changed
	}
	status := Status(w, p, nil, map[string]string{"LOG_LEVEL": "info"}, s.Now)
	checkConsistent(t, w.Instance, status.Conditions)
	if !worthWriting(&w.Instance.Status, &status) {
		return wrote, p
	}
	if _, err := s.Persist(w.Instance.ResourceVersion, status); err != nil {
		t.Fatal(err)
	}
	s.written = append(s.written, status)
	return true, p
}

// reasonForm is the form that the API server asks of reasons.
var reasonForm = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// checkConsistent holds conditions against what kstatus and kubectl wait read into them: an instance that is Ready is at rest, one that
// is Stalled is not moving, and all answer the same generation. See https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus.
func checkConsistent(t *testing.T, instance *v1alpha1.EngLogInstance, conditions []metav1.Condition) {
	t.Helper()
	if len(conditions) != len(judges) {
		t.Fatalf("%d conditions, want %d", len(conditions), len(judges))
	}
	for i, c := range conditions {
		if c.Type != judges[i].condition {
			t.Errorf("condition %d is %s, want %s", i, c.Type, judges[i].condition)
		}
		if !reasonForm.MatchString(c.Reason) || c.Message == "" || c.LastTransitionTime.IsZero() || c.ObservedGeneration != instance.Generation {
			t.Errorf("condition %+v is incomplete", c)
		}
	}
	is := func(condition string) bool { return meta.IsStatusConditionTrue(conditions, condition) }
	if is("Stalled") && is("Reconciling") {
		t.Errorf("Stalled and Reconciling are both True: %s", shown(conditions))
	}
	if is("Ready") && (is("Stalled") || is("Reconciling") || !is("Available") || !is("RolledOut") || !is("ReferencesResolved") || !is("SpecAccepted")) {
		t.Errorf("Ready is True, but: %s", shown(conditions))
	}
	if !is("Ready") && !is("Stalled") && !is("Reconciling") && instance.Spec.Reconciliation == "" && instance.Spec.Activity == "" {
		t.Errorf("neither Ready, nor Stalled, nor Reconciling: %s", shown(conditions))
	}
}

func shown(conditions []metav1.Condition) string {
	var b strings.Builder
	for _, c := range conditions {
		fmt.Fprintf(&b, "\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

// told is the course of one condition, without repetitions.
func (s *story) course(condition string) string {
	var list []string
	for _, status := range s.written {
		c := meta.FindStatusCondition(status.Conditions, condition)
		text := string(c.Status) + "/" + c.Reason
		if len(list) == 0 || list[len(list)-1] != text {
			list = append(list, text)
		}
	}
	return strings.Join(list, " ")
}

func (s *story) transcript() string {
	var b strings.Builder
	for _, status := range s.written {
		fmt.Fprintf(&b, "\n%-18s %-40s", status.Rollout.Step, status.Rollout.Message)
		for _, c := range status.Conditions {
			fmt.Fprintf(&b, " %s=%s/%s", c.Type, c.Status, c.Reason)
		}
	}
	return b.String()
}

func TestInstallation(t *testing.T) {
	s := newStory()
	s.Target = "a"
	s.play(t)
	for condition, want := range map[string]string{
		"Available":       "False/NotInstalled True/Serving",
		"Migrated":        "False/NotMigrated False/Migrating True/Succeeded True/Migrated",
		"TrafficVerified": "False/NotInstalled False/Verifying True/Verified",
		"RolledOut":       "False/InProgress True/RolledOut",
		"Stalled":         "False/NotStalled",
	} {
		if got := s.course(condition); got != want {
			t.Errorf("%s went %s\nwant %s%s", condition, got, want, s.transcript())
		}
	}
	if c := meta.FindStatusCondition(s.Instance.Status.Conditions, "Ready"); c.Status != metav1.ConditionTrue {
		t.Errorf("in the end %+v", c)
	}
}

func TestCutover(t *testing.T) {
	s := newStory()
	s.install(t)
	s.Target = "b"
	s.play(t)
	for condition, want := range map[string]string{
		"Available":       "True/Serving",
		"RolledOut":       "False/InProgress True/RolledOut",
		"TrafficVerified": "True/Verified False/Verifying True/Verified",
		"Migrated":        "True/Migrated",
		"Reconciling":     "True/Preparing True/Migrating True/Scaling True/Verifying True/AwaitingPromotion True/Switching True/Confirming True/Handover False/Settled",
	} {
		if got := s.course(condition); got != want {
			t.Errorf("%s went %s\nwant %s%s", condition, got, want, s.transcript())
		}
	}
	// A write for each of the 12 steps, and for checks that begin and end: what pods do in between is not worth one.
	steps := map[v1alpha1.Step]bool{}
	for _, status := range s.written {
		steps[status.Rollout.Step] = true
	}
	t.Logf("%d status writes in %d rounds", len(s.written), s.rounds)
	if len(steps) != 12 || len(s.written) > 19 {
		t.Errorf("%d status writes for %d steps in %d rounds%s", len(s.written), len(steps), s.rounds, s.transcript())
	}
}

func TestSilenceAtRest(t *testing.T) {
	s := newStory()
	s.install(t)
	for range 10 {
		s.Now = s.Now.Add(1e9)
		if wrote, _ := s.round(t); wrote {
			t.Fatalf("wrote at rest: %+v", s.written)
		}
	}
}

func TestFailures(t *testing.T) {
	cases := map[string]struct {
		character model.Character
		course    string
		ready     string
	}{
		"never ready":       {model.NeverReady, "False/InProgress False/DeadlineExceeded", "ProgressDeadlineExceeded"},
		"migration fails":   {model.MigrationFails, "False/InProgress False/MigrationFailed", "MigrationFailed"},
		"checks fail early": {model.FailsBefore, "False/InProgress False/CheckFailed", "CheckFailed"},
		"checks fail late":  {model.FailsAfter, "False/InProgress False/RolledBack", "CheckFailed"},
		"workers fail":      {model.WorkersFail, "False/InProgress False/RolledBack", "WorkersNotReady"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.install(t)
			s.Target, s.Characters["b"] = "b", c.character
			s.play(t)
			if got := s.course("RolledOut"); got != c.course {
				t.Errorf("RolledOut went %s\nwant %s%s", got, c.course, s.transcript())
			}
			if got := s.course("Available"); got != "True/Serving" {
				t.Errorf("Available went %s", got)
			}
			conditions := s.Instance.Status.Conditions
			ready, stalled := meta.FindStatusCondition(conditions, "Ready"), meta.FindStatusCondition(conditions, "Stalled")
			if ready.Status != metav1.ConditionFalse || ready.Reason != c.ready || stalled.Status != metav1.ConditionTrue || !strings.Contains(ready.Message, "retryToken") {
				t.Errorf("in the end:%s", shown(conditions))
			}
		})
	}
}

// A pod that says why it does not run is worth a write, one with other numbers is not.
func TestComplaintsAreToldOnce(t *testing.T) {
	s := newStory()
	s.install(t)
	s.Target, s.Characters["b"] = "b", model.NeverReady
	for range 40 {
		if s.round(t); stepOf(&s.Instance.Status) == v1alpha1.StepScaling {
			break
		}
		s.Settle()
	}
	s.round(t)
	s.Settle()
	before := len(s.written)
	for i := range 5 {
		w := s.Observe()
		p := plan.Next(w, s.Now)
		p.Holds = []world.Problem{{Reason: "NotEnoughReady", Message: fmt.Sprintf("%d of 9 api pods are ready in green: ImagePullBackOff: Back-off pulling image", i)}}
		status := Status(w, p, nil, nil, s.Now)
		if !worthWriting(&w.Instance.Status, &status) {
			continue
		}
		if _, err := s.Persist(w.Instance.ResourceVersion, status); err != nil {
			t.Fatal(err)
		}
		s.written = append(s.written, status)
	}
	if n := len(s.written) - before; n != 1 {
		t.Errorf("wrote %d times, want once%s", n, s.transcript())
	}
	if m := s.Instance.Status.Rollout.Message; !strings.Contains(m, "0 of 9 api pods are ready in green: ImagePullBackOff") {
		t.Errorf("the message is %q", m)
	}
	s.round(t) // the complaint is gone
	if m := s.Instance.Status.Rollout.Message; m != "waiting for the pods of revision b" {
		t.Errorf("afterwards the message is %q", m)
	}
}
