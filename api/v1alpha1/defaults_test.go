package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write docs/reference/defaults.md instead of comparing it")

func instance(change func(*v1alpha1.EngLogInstanceSpec)) *v1alpha1.EngLogInstance {
	in := &v1alpha1.EngLogInstance{
		ObjectMeta: metav1.ObjectMeta{Name: "journal"},
		Spec: v1alpha1.EngLogInstanceSpec{
			Version:     "1.8.0",
			Environment: v1alpha1.EnvironmentStaging,
			Database:    v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal},
			Cache:       v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
		},
	}
	change(&in.Spec)
	return in
}

func TestResolve(t *testing.T) {
	type spec = v1alpha1.EngLogInstanceSpec
	in := func(e v1alpha1.Environment) func(*spec) { return func(s *spec) { s.Environment = e } }
	tests := []struct {
		name   string
		change func(*spec)
		got    func(spec) any
		want   any
	}{
		{"no environment means Development", in(""), func(s spec) any { return s.Environment }, v1alpha1.EnvironmentDevelopment},
		{"B1 production scales the API", in("Production"), func(s spec) any {
			return []int32{s.API.Replicas, s.API.Autoscaling.MinReplicas, s.API.Autoscaling.MaxReplicas}
		}, []int32{0, 3, 20}},
		{"F3 by CPU at 70 %", in("Production"), func(s spec) any { return s.API.Autoscaling.TargetCPUUtilizationPercentage }, int32(70)},
		{"replicas keep the autoscaler away", func(s *spec) {
			s.Environment = "Production"
			s.API = &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 4}}
		}, func(s spec) any { return s.API.Autoscaling == nil && s.API.Replicas == 4 }, true},
		{"minReplicas stays below a small maxReplicas", func(s *spec) {
			s.Environment = "Production"
			s.API = &v1alpha1.APISpec{Autoscaling: &v1alpha1.AutoscalingSpec{MaxReplicas: 2}}
		}, func(s spec) any { return s.API.Autoscaling.MinReplicas }, int32(2)},
		{"queue age replaces CPU", func(s *spec) {
			s.Worker = &v1alpha1.WorkerSpec{Autoscaling: &v1alpha1.WorkerAutoscalingSpec{
				AutoscalingSpec: v1alpha1.AutoscalingSpec{MaxReplicas: 9}, TargetQueueAgeSeconds: 30}}
		}, func(s spec) any { return s.Worker.Autoscaling.TargetCPUUtilizationPercentage }, int32(0)},
		{"I20 log level", in("Production"), func(s spec) any { return s.Config.LogLevel }, v1alpha1.LogWarn},
		{"I24 beta is off in production", in("Production"), func(s spec) any { return s.Features.Beta }, v1alpha1.ModeDisabled},
		{"I24 beta is on elsewhere", in("Staging"), func(s spec) any { return s.Features.Beta }, v1alpha1.ModeEnabled},
		{"I21 advanced AI only in production", in("Staging"), func(s spec) any { return s.Features.AdvancedAI }, v1alpha1.ModeDisabled},
		{"I11 rendered only when set", in("Production"), func(s spec) any { return s.Auth.PasswordSaltRounds }, int32(0)},
		{"X12 writing outlasts a provider", in("Production"), func(s spec) any { return s.Config.WriteTimeoutSeconds > s.AI.TimeoutSeconds }, true},
		{"X12 also when only the write timeout is set", func(s *spec) {
			s.Config = &v1alpha1.ConfigSpec{WriteTimeoutSeconds: 10}
		}, func(s spec) any { return s.AI.TimeoutSeconds }, int32(5)},
		{"no AI provider is made up in production", in("Production"), func(s spec) any { return len(s.AI.Providers) }, 0},
		{"Builtin elsewhere", in("Staging"), func(s spec) any { return s.AI.Providers[0].Type }, v1alpha1.AIProviderBuiltin},
		{"every reference defaults to the instance's Secret", in("Staging"), func(s spec) any {
			return []string{s.Database.External.SecretRef.Name, s.Cache.External.SecretRef.Name, s.Auth.SecretRef.Name}
		}, []string{"journal-secrets", "journal-secrets", "journal-secrets"}},
		{"and to another one if that is named", func(s *spec) {
			s.Secrets = &v1alpha1.SecretsSpec{Type: "Kubernetes", Kubernetes: &v1alpha1.KubernetesSecrets{Name: "vault"}}
		}, func(s spec) any { return s.Auth.SecretRef.Name }, "vault"},
		{"keys of the instance's Secret are variables", in("Staging"), func(s spec) any { return s.Database.External.SecretRef.Keys.Password }, v1alpha1.SecretKey("DB_PASSWORD")},
		{"keys of a named Secret are CloudNativePG's", func(s *spec) {
			s.Database.External = &v1alpha1.ExternalDatabase{SecretRef: &v1alpha1.DatabaseSecretRef{Name: "journal-app"}}
		}, func(s spec) any { return s.Database.External.SecretRef.Keys.Name }, v1alpha1.SecretKey("dbname")},
		{"J4 J5 AWS", func(s *spec) {
			s.Environment, s.Secrets = "Production", &v1alpha1.SecretsSpec{Type: "AWSSecretsManager"}
		}, func(s spec) any {
			return s.Secrets.AWSSecretsManager.SecretID + " " + s.Secrets.AWSSecretsManager.Region
		}, "englog/production/app us-west-2"},
		{"a digest goes with its repository", func(s *spec) {
			s.Image = &v1alpha1.ImageSpec{Digest: "sha256:1", Worker: &v1alpha1.ComponentImage{Repository: "example.org/worker"}}
		}, func(s spec) any { return []string{s.ImageFor(v1alpha1.API), s.ImageFor(v1alpha1.Worker)} },
			[]string{"ghcr.io/garnizeh/englog@sha256:1", "example.org/worker:1.8.0"}},
		{"retention outlasts a slow route", func(s *spec) {
			s.Rollout = &v1alpha1.RolloutSpec{Traffic: &v1alpha1.TrafficSpec{PropagationSeconds: new(int32(600))}}
		}, func(s spec) any { return s.Rollout.RetentionSeconds }, int32(630)},
		{"explicit zeros stay", func(s *spec) {
			s.Rollout = &v1alpha1.RolloutSpec{ConfirmSeconds: new(int32)}
			s.Cache.MaxRetries = new(int32)
		}, func(s spec) any { return []int32{*s.Rollout.ConfirmSeconds, *s.Cache.MaxRetries} }, []int32{0, 0}},
		{"tracing follows the endpoint", func(s *spec) {
			s.Tracing = &v1alpha1.TracingSpec{Endpoint: "http://otel:4318"}
		}, func(s spec) any { return s.Tracing.Mode }, v1alpha1.ModeEnabled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := instance(test.change)
			before := in.DeepCopy()
			resolved := in.Resolve()
			if got := fmt.Sprint(test.got(resolved)); got != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if !apiequality.Semantic.DeepEqual(before, in) {
				t.Error("Resolve changed the object")
			}
			if again := resolved.WithDefaults(); !apiequality.Semantic.DeepEqual(again, resolved) {
				t.Error("defaults of a resolved spec differ from it")
			}
		})
	}
}

// TestDefaultsReference keeps docs/reference/defaults.md equal to what Resolve does.
// Write it anew with: go test ./api/v1alpha1 -run TestDefaultsReference -update
func TestDefaultsReference(t *testing.T) {
	const path = "../../docs/reference/defaults.md"
	want := defaultsReference(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run this test with -update and look at the difference", path)
	}
}

func defaultsReference(t *testing.T) []byte {
	t.Helper()
	environments := []v1alpha1.Environment{
		v1alpha1.EnvironmentDevelopment, v1alpha1.EnvironmentStaging, v1alpha1.EnvironmentProduction,
	}
	columns := make([]map[string]string, len(environments))
	paths := map[string]bool{}
	for i, environment := range environments {
		columns[i] = flattened(t, environment)
		for path := range columns[i] {
			paths[path] = true
		}
	}
	var out bytes.Buffer
	out.WriteString(defaultsIntroduction)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		fmt.Fprintf(&out, "| `%s` |", path)
		for _, column := range columns {
			fmt.Fprintf(&out, " %s |", column[path])
		}
		out.WriteString("\n")
	}
	return out.Bytes()
}

const defaultsIntroduction = `# Defaults

<!-- Written by TestDefaultsReference in api/v1alpha1. Do not edit. -->

What holds for a setting that a spec leaves out, for an instance named ` + "`journal`" + ` with External stores. The operator never
writes a default into the object: a default is worked out each time, so ` + "`kubectl get -o yaml`" + ` shows what you wrote, and
` + "`status.effective`" + ` shows the variables that the pods were given. A running revision keeps the values it was made with.

Rules that a table cannot show:

- A Secret that you name is expected to have CloudNativePG's keys (` + "`uri`" + `, or ` + "`host`, `port`, `dbname`, `username`, `password`" + `); the
  instance's own Secret is expected to have keys named as the variables (` + "`DATABASE_URL`, `DB_PASSWORD`, `REDIS_URL`" + ` ...). The key
  of the URI wins over the parts; a part that is in the Secret wins over the field of the spec.
- ` + "`ai.timeoutSeconds`" + ` is lowered to 5 less than ` + "`config.writeTimeoutSeconds`" + ` if only that one is set and is at most 30.
- ` + "`rollout.retentionSeconds`" + ` is raised to 30 more than ` + "`rollout.traffic.propagationSeconds`" + `.
- ` + "`autoscaling.targetCPUUtilizationPercentage`" + ` is 70 unless other metrics or ` + "`targetQueueAgeSeconds`" + ` are given.
- ` + "`tracing.mode`" + ` is Enabled and ` + "`exposure.httpsRedirect`" + ` is Enabled as soon as there is an endpoint, or TLS.
- ` + "`image.digest`" + ` holds for a component only while the component's repository is the same.
- ` + "`auth.passwordSaltRounds`" + ` has no default: without it new passwords are argon2id hashes.

| setting | Development | Staging | Production |
|---|---|---|---|
`

func flattened(t *testing.T, environment v1alpha1.Environment) map[string]string {
	t.Helper()
	in := instance(func(s *v1alpha1.EngLogInstanceSpec) { s.Environment = environment })
	data, err := json.Marshal(in.Resolve())
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string]any{}
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	flatten(out, "", tree)
	for _, path := range []string{"version", "environment", "database.type", "cache.type"} {
		delete(out, path) // given, not defaults
	}
	return out
}

func flatten(out map[string]string, path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, child := range value {
			flatten(out, strings.TrimPrefix(path+"."+key, "."), child)
		}
	case []any:
		for i, child := range value {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), child)
		}
	default:
		out[path] = fmt.Sprint(value)
	}
}
