package render

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

var instances = []string{"development", "staging", "production"}

// An object as every child has it.
type object struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Template *corev1.PodTemplateSpec `json:"template"`
		Replicas *int32                  `json:"replicas"`
	} `json:"spec"`
}

func decode(t *testing.T, o runtime.ApplyConfiguration) object {
	t.Helper()
	typed, err := convert[object](o)
	if err != nil {
		t.Fatal(err)
	}
	return *typed
}

// all renders everything of an instance.
func all(t *testing.T, in Input) []object {
	t.Helper()
	var objects []object
	for _, e := range ensures(in) {
		for _, o := range mustRender(t, in, e) {
			objects = append(objects, decode(t, o))
		}
	}
	return objects
}

// Every pod that the operator makes is admitted where the restricted standard is enforced, and carries no token.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, name := range instances {
		for _, o := range all(t, load(t, name)) {
			if o.Spec.Template == nil {
				continue
			}
			pod := o.Spec.Template
			for _, r := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
				if !r.Allowed {
					t.Errorf("X51: %s %s of %s: %s: %s", o.Kind, o.Metadata.Name, name, r.ForbiddenReason, r.ForbiddenDetail)
				}
			}
			if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token {
				t.Errorf("X51: %s %s of %s mounts a token", o.Kind, o.Metadata.Name, name)
			}
			if root := pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem; root == nil || !*root {
				t.Errorf("X51: %s %s of %s may write to its root", o.Kind, o.Metadata.Name, name)
			}
		}
	}
}

// Names stay names at the longest instance name and the longest names that a spec may hold.
func TestLongestNames(t *testing.T) {
	for _, name := range instances {
		in := load(t, name)
		in.Instance.Name = strings.Repeat("a", 40)
		for i := range checksOf(in.Instance) {
			in.Instance.Spec.Rollout.Checks[i].Name = strings.Repeat("c", 20)
		}
		in = prepare(t, in.Instance)
		for _, o := range all(t, in) {
			for _, problem := range nameProblems(o) {
				t.Errorf("%s %s: %s", o.Kind, o.Metadata.Name, problem)
			}
			for key, value := range o.Metadata.Labels {
				for _, problem := range validation.IsValidLabelValue(value) {
					t.Errorf("%s %s: label %s: %s", o.Kind, o.Metadata.Name, key, problem)
				}
			}
		}
	}
}

// nameProblems holds each kind to its own rule. The names of Jobs and StatefulSets become labels, a StatefulSet's with a suffix.
func nameProblems(o object) []string {
	switch o.Kind {
	case "Service":
		return validation.IsDNS1035Label(o.Metadata.Name)
	case "Job", "Deployment", "HorizontalPodAutoscaler":
		return validation.IsDNS1123Label(o.Metadata.Name)
	case "StatefulSet":
		return validation.IsDNS1123Label(o.Metadata.Name + "-0123456789")
	default:
		return validation.IsDNS1123Subdomain(o.Metadata.Name)
	}
}

// A Job of another attempt, revision or purpose has another name, however long the instance's is.
func TestJobNamesAreDistinct(t *testing.T) {
	seen := map[string]plan.Ensure{}
	for _, instance := range []string{"a", strings.Repeat("a", 40)} {
		for _, purpose := range []plan.Purpose{plan.Expand, plan.Contract, plan.WorkerCheck, plan.UserCheck} {
			for _, r := range []string{blue, green} {
				for attempt := range int32(30) {
					e := plan.Ensure{Kind: plan.Job, Purpose: purpose, Check: "cccccccccccccccccccc", Revision: r, Attempt: attempt}
					name := plan.JobName(instance, e)
					if other, twice := seen[name]; twice {
						t.Errorf("%v and %v are both called %s", e, other, name)
					}
					seen[name] = e
				}
			}
		}
	}
}

// Deleting an instance removes what it owns; only data and what was made with it are kept, marked as such.
func TestOwnership(t *testing.T) {
	for _, name := range instances {
		for _, o := range all(t, load(t, name)) {
			owners := o.Metadata.OwnerReferences
			kept := o.Metadata.Labels[KeptLabel] != ""
			if kept != (o.Kind == "PersistentVolumeClaim") {
				t.Errorf("%s %s is kept: %t", o.Kind, o.Metadata.Name, kept)
			}
			if kept {
				if len(owners) != 0 {
					t.Errorf("%s %s is kept and has an owner", o.Kind, o.Metadata.Name)
				}
				continue
			}
			if len(owners) != 1 || !*owners[0].Controller || *owners[0].BlockOwnerDeletion || owners[0].Kind != "EngLogInstance" {
				t.Errorf("%s %s: owners %v", o.Kind, o.Metadata.Name, owners)
			}
			for _, label := range []string{NameLabel, InstanceLabel, ManagedByLabel} {
				if o.Metadata.Labels[label] == "" {
					t.Errorf("%s %s has no label %s", o.Kind, o.Metadata.Name, label)
				}
			}
		}
	}
}

// X46: whoever owns the replicas, an apply never does.
func TestReplicasAreNeverApplied(t *testing.T) {
	for _, name := range instances {
		for _, o := range all(t, load(t, name)) {
			if o.Kind == "Deployment" && o.Spec.Replicas != nil {
				t.Errorf("%s sets replicas", o.Metadata.Name)
			}
		}
	}
}

// Children come from the stored snapshot: neither a changed spec nor a new default of a new operator reaches a running pod.
func TestPodsComeFromTheSnapshot(t *testing.T) {
	in := load(t, "production")
	e := plan.Ensure{Kind: plan.Deployment, Component: v1alpha1.API, Color: v1alpha1.Blue, Revision: blue}
	before, config := text(t, mustRender(t, in, e)), text(t, mustRender(t, in, plan.Ensure{Kind: plan.Config, Revision: blue}))
	in.Spec.Version = "9.9.9"
	in.Spec.Config.LogLevel = v1alpha1.LogError
	in.Spec.API.PodLabels = map[string]string{"new": "label"}
	in.Spec.API.Resources = nil
	in.World.Keys = map[string]bool{}
	if after := text(t, mustRender(t, in, e)); after != before {
		t.Errorf("a changed spec changed the pods of a stored revision:\n%s", firstDifference(after, before))
	}
	if after := text(t, mustRender(t, in, plan.Ensure{Kind: plan.Config, Revision: blue})); after != config {
		t.Errorf("a changed spec changed the configuration of a stored revision:\n%s", firstDifference(after, config))
	}
	e.Revision = "unknown"
	if _, err := Objects(in, e); err == nil {
		t.Error("a revision without a stored snapshot was rendered")
	}
}

// A restart in place is the only thing of a spec that reaches running pods.
func TestRestartToken(t *testing.T) {
	in := load(t, "production")
	e := plan.Ensure{Kind: plan.Deployment, Component: v1alpha1.API, Color: v1alpha1.Blue, Revision: blue}
	in.Spec.RestartToken = "again"
	template := decode(t, mustRender(t, in, e)[0]).Spec.Template
	if got := template.Annotations[RestartKey]; got != "again" {
		t.Errorf("the restart token is %q", got)
	}
	if in.Snapshots[blue].Templates[v1alpha1.API].Annotations[RestartKey] != "" {
		t.Error("rendering changed the stored snapshot")
	}
}

func text(t *testing.T, objects []runtime.ApplyConfiguration) string {
	t.Helper()
	out, err := json.MarshalIndent(objects, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The same input gives the same bytes: what applies remembers intents by their digest.
func TestRenderingIsDeterministic(t *testing.T) {
	for _, name := range instances {
		first := ""
		for range 5 {
			in, out := load(t, name), ""
			for _, e := range ensures(in) {
				out += text(t, mustRender(t, in, e))
			}
			if first == "" {
				first = out
			}
			if out != first {
				t.Fatalf("%s differs from one time to the next:\n%s", name, firstDifference(out, first))
			}
		}
	}
}

// GOMEMLIMIT and GOMAXPROCS follow from the limits, and are left out where there are none.
func TestRuntimeLimits(t *testing.T) {
	in := load(t, "production")
	for component, want := range map[v1alpha1.ComponentName]string{v1alpha1.API: "483183819 1", v1alpha1.Worker: "966367638 1"} {
		env := in.Snapshots[blue].Templates[component].Spec.Containers[0].Env
		if got := value(env, "GOMEMLIMIT") + " " + value(env, "GOMAXPROCS"); got != want {
			t.Errorf("%s: got %s, want %s", component, got, want)
		}
	}
	if got := limits(&corev1.ResourceRequirements{}); len(got) != 0 {
		t.Errorf("without limits: got %v", got)
	}
}

func value(env []corev1.EnvVar, name string) string {
	at := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == name })
	if at < 0 {
		return ""
	}
	return env[at].Value
}

// A pod's grace leaves room for the delay and the drain, for every component and setting.
func TestGraceCoversTheDrain(t *testing.T) {
	in := load(t, "production")
	for _, grace := range []int32{40, 60, 600} {
		in.Spec.API.TerminationGracePeriodSeconds = grace
		in.Spec.Config.DrainDelaySeconds = 5
		if got := drain(&in.Spec, v1alpha1.API) + 5; got >= grace {
			t.Errorf("a grace of %d s is used up by %d s of delay and drain", grace, got)
		}
	}
	if got := drain(&in.Spec, v1alpha1.Worker); got >= in.Spec.Worker.TerminationGracePeriodSeconds {
		t.Errorf("workers drain for %d s of %d s", got, in.Spec.Worker.TerminationGracePeriodSeconds)
	}
}

// No credential of one role is in the pods of another, and none is in a ConfigMap.
func TestCredentialsGoWhereTheyAreNeeded(t *testing.T) {
	s := load(t, "production").Snapshots[blue]
	for component, want := range map[v1alpha1.ComponentName][]string{
		v1alpha1.API:      {"DB_PASSWORD_FILE", "JWT_SECRET_FILE", "JWT_SECRET_NEXT_FILE", "JWT_SECRET_PREVIOUS_FILE", "REDIS_URL_FILE"},
		v1alpha1.Worker:   {"AZURE_API_KEY_FILE", "DB_PASSWORD_FILE", "OPENAI_API_KEY_FILE", "REDIS_URL_FILE"},
		v1alpha1.Frontend: {"SESSION_KEY_FILE"},
	} {
		t.Run("X04 X05 "+string(component), func(t *testing.T) {
			if got := files(s.Templates[component]); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if got, want := files(s.Jobs[revision.Expand]), []string{"DB_PASSWORD_FILE"}; !slices.Equal(got, want) {
		t.Errorf("migrations: got %v, want %v", got, want)
	}
	for name := range s.Config {
		if strings.Contains(name, "PASSWORD") || strings.Contains(name, "_KEY") || strings.Contains(name, "SECRET") {
			t.Errorf("X44: the ConfigMap holds %s", name)
		}
	}
}

func files(t corev1.PodTemplateSpec) []string {
	var names []string
	for _, v := range t.Spec.Containers[0].Env {
		if strings.HasSuffix(v.Name, "_FILE") {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Nothing is given twice: the service refuses a variable that a file and a literal both answer for.
func TestNoVariableIsGivenTwice(t *testing.T) {
	for _, name := range instances {
		s := load(t, name).Snapshots[blue]
		pods := map[string]corev1.PodTemplateSpec{}
		for c, template := range s.Templates {
			pods[string(c)] = template
		}
		for job, template := range s.Jobs {
			pods[job] = template
		}
		for role, template := range pods {
			env := map[string]string{}
			for k, v := range s.Config {
				env[k] = v
			}
			seen := map[string]bool{}
			for _, v := range template.Spec.Containers[0].Env {
				if seen[v.Name] {
					t.Errorf("%s %s: %s is there twice", name, role, v.Name)
				}
				seen[v.Name], env[v.Name] = true, v.Value
			}
			for k := range env {
				if literal, isFile := strings.CutSuffix(k, "_FILE"); isFile && env[literal] != "" {
					t.Errorf("%s %s: %s and %s are both set", name, role, k, literal)
				}
			}
		}
	}
}

func checksOf(i *v1alpha1.EngLogInstance) []v1alpha1.CheckSpec {
	if i.Spec.Rollout == nil {
		return nil
	}
	return i.Spec.Rollout.Checks
}
