package revision

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

func external() v1alpha1.EngLogInstanceSpec {
	return v1alpha1.EngLogInstanceSpec{
		Version: "1.0.0", Environment: v1alpha1.EnvironmentProduction,
		Database: v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
	}
}

func has(keys ...string) Present {
	return func(secret, key string) bool { return slices.Contains(keys, secret+"/"+key) }
}

// variables lists what pods get: group, variable, Secret and key.
func variables(chosen []Reference) []string {
	lines := make([]string, 0, len(chosen))
	for _, r := range chosen {
		line := fmt.Sprintf("%s %s=%s", r.Group, r.Variable, r.ID())
		if r.Optional {
			line += "?"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestChoose(t *testing.T) {
	base := []string{"s-secrets/REDIS_URL", "s-secrets/JWT_SECRET", "s-secrets/SESSION_KEY"}
	auth := []string{
		"auth JWT_SECRET=s-secrets/JWT_SECRET", "auth JWT_SECRET_PREVIOUS=s-secrets/JWT_SECRET_PREVIOUS?", "auth JWT_SECRET_NEXT=s-secrets/JWT_SECRET_NEXT?",
		"auth SESSION_KEY=s-secrets/SESSION_KEY",
	}
	redis := "cache REDIS_URL=s-secrets/REDIS_URL"
	for _, c := range []struct {
		name    string
		change  func(*v1alpha1.EngLogInstanceSpec)
		present []string
		want    []string
		missing []string
	}{
		{
			name: "a URI in the instance's own Secret", present: []string{"s-secrets/DATABASE_URL"},
			want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", redis},
		},
		{
			name: "a URI beside parts, as CloudNativePG has both", present: []string{"db/uri", "db/host", "db/password", "db/username"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Database.External = &v1alpha1.ExternalDatabase{SecretRef: &v1alpha1.DatabaseSecretRef{Name: "db"}}
			},
			want: []string{"database DATABASE_URL=db/uri", redis},
		},
		{
			name: "parts alone", present: []string{"db/host", "db/password", "db/username"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Database.External = &v1alpha1.ExternalDatabase{SecretRef: &v1alpha1.DatabaseSecretRef{Name: "db"}}
			},
			want: []string{"database DB_HOST=db/host", "database DB_USER=db/username?", "database DB_PASSWORD=db/password", redis},
		},
		{
			name: "the host from the spec, the password from keys of one's own names", present: []string{"db/pw"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Database.External = &v1alpha1.ExternalDatabase{
					Host: "db.example.org", SecretRef: &v1alpha1.DatabaseSecretRef{Name: "db", Keys: &v1alpha1.DatabaseSecretKeys{Password: "pw"}},
				}
			},
			want: []string{"database DB_PASSWORD=db/pw", redis},
		},
		{
			name: "a role of its own for migrations", present: []string{"s-secrets/DATABASE_URL", "owner/uri"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Database.External = &v1alpha1.ExternalDatabase{MigrationSecretRef: &v1alpha1.DatabaseSecretRef{Name: "owner"}}
			},
			want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", "migration DATABASE_URL=owner/uri", redis},
		},
		{
			name: "migrations past a pooler", present: []string{"s-secrets/DATABASE_URL", "s-secrets/DATABASE_MIGRATION_URL"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Database.External = &v1alpha1.ExternalDatabase{Pooling: v1alpha1.PoolingTransaction}
			},
			want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", "migration DATABASE_URL=s-secrets/DATABASE_MIGRATION_URL", redis},
		},
		{
			name: "an invitation for the first account, where one is needed", present: []string{"s-secrets/DATABASE_URL"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Auth = &v1alpha1.AuthSpec{Registration: v1alpha1.RegistrationInvite}
			},
			want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", redis, "auth BOOTSTRAP_INVITE=s-secrets/BOOTSTRAP_INVITE?"},
		},
		{
			name: "an invitation that the operator makes up", present: []string{"s-secrets/DATABASE_URL", "s-generated/BOOTSTRAP_INVITE"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.Auth = &v1alpha1.AuthSpec{Registration: v1alpha1.RegistrationInvite}
				s.Secrets = &v1alpha1.SecretsSpec{Generate: v1alpha1.SecretGenerationIfMissing}
			},
			want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", redis, "auth BOOTSTRAP_INVITE=s-generated/BOOTSTRAP_INVITE"},
		},
		{
			name: "no credentials of a database", want: []string{"database DATABASE_URL=s-secrets/DATABASE_URL", redis},
			missing: []string{"spec.database.external.secretRef: Secret s-secrets has neither DATABASE_URL nor DB_HOST and DB_PASSWORD: add the connection URI of the database or name another Secret"},
		},
		{
			name: "keys of providers, each to the workers", present: []string{"s-secrets/DATABASE_URL", "s-secrets/OPENAI_API_KEY"},
			change: func(s *v1alpha1.EngLogInstanceSpec) {
				s.AI = &v1alpha1.AISpec{Providers: []v1alpha1.AIProvider{
					{Name: "openai", Type: v1alpha1.AIProviderOpenAI},
					{Name: "azure", Type: v1alpha1.AIProviderAzureOpenAI, AzureOpenAI: &v1alpha1.AzureOpenAIProvider{}},
					{Name: "ollama", Type: v1alpha1.AIProviderOllama, Ollama: &v1alpha1.OllamaProvider{}},
				}}
			},
			want: []string{
				"database DATABASE_URL=s-secrets/DATABASE_URL", redis, "ai OPENAI_API_KEY=s-secrets/OPENAI_API_KEY", "ai AZURE_API_KEY=s-secrets/AZURE_API_KEY",
			},
			missing: []string{"spec.ai.providers[azure]: Secret s-secrets has no key AZURE_API_KEY, the API key of Azure OpenAI: add it or name another Secret"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := external()
			if c.change != nil {
				c.change(&spec)
			}
			chosen, missing := Choose(References("s", spec), has(append(base, c.present...)...))
			got := slices.DeleteFunc(variables(chosen), func(line string) bool { return slices.Contains(auth, line) })
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
			if !slices.Equal(missing, c.missing) {
				t.Errorf("missing: got %q, want %q", missing, c.missing)
			}
			if all := variables(chosen); !slices.Contains(all, auth[0]) || !slices.Contains(all, auth[1]) {
				t.Errorf("the signing keys are not all there: %v", all)
			}
		})
	}
}

// What may be made up is made up only where the user gives none.
func TestGeneratedSecrets(t *testing.T) {
	spec := external()
	spec.Environment = v1alpha1.EnvironmentDevelopment
	for _, c := range []struct {
		present []string
		want    string
	}{
		{[]string{"s-generated/JWT_SECRET"}, "auth JWT_SECRET=s-generated/JWT_SECRET"},
		{[]string{"s-generated/JWT_SECRET", "s-secrets/JWT_SECRET"}, "auth JWT_SECRET=s-secrets/JWT_SECRET"},
	} {
		chosen, _ := Choose(References("s", spec), has(c.present...))
		if got := variables(chosen); !slices.Contains(got, c.want) {
			t.Errorf("with %v: got %v, want %s", c.present, got, c.want)
		}
	}
	spec.Environment = v1alpha1.EnvironmentProduction
	for _, r := range References("s", spec) {
		if r.Secret == GeneratedName("s") {
			t.Errorf("in production %s is made up", r.Key)
		}
	}
}

// Every reference can be told to a user, mounted, and told from every other.
func TestReferencesAreComplete(t *testing.T) {
	spec := external()
	spec.Environment = v1alpha1.EnvironmentStaging
	spec.Mail = &v1alpha1.MailSpec{Type: v1alpha1.MailSMTP, SMTP: &v1alpha1.SMTPSpec{Host: "h", From: "f@h", User: "u"}}
	spec.API = &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Env: []v1alpha1.EnvVar{{Name: "MY_TOKEN", SecretKey: &v1alpha1.EnvSecretKey{Secret: v1alpha1.EnvSecretAuth, Key: "T"}}}}}
	places := map[string]bool{}
	for _, r := range References("s", spec) {
		if r.Secret == "" || r.Key == "" || r.Purpose == "" || r.Field == "" || r.Group == "" || r.Variable == "" {
			t.Errorf("incomplete: %+v", r)
		}
		if r.Group != Env && r.File == "" {
			t.Errorf("no file: %+v", r)
		}
		place := r.Group + "/" + r.File + "/" + r.Variable + "/" + r.Form
		if places[place] {
			t.Errorf("two references lie at %s", place)
		}
		places[place] = true
	}
}

func TestStoreCredentials(t *testing.T) {
	n := 0
	random := func() []byte { n++; return fmt.Appendf(nil, "random-%d", n) }
	instance := &v1alpha1.EngLogInstance{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j"}}
	first := StoreCredentials(instance, Database, nil, random)
	want := fmt.Sprintf("postgres://englog:%s@j-database.ns.svc:5432/englog?sslmode=disable", first["password"])
	if got := string(first["uri"]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	again := StoreCredentials(instance, Database, first, random)
	for key, value := range first {
		if string(again[key]) != string(value) {
			t.Errorf("%s was replaced", key)
		}
	}
	if n != 3 {
		t.Errorf("%d values were made up, want 3", n)
	}
	delete(first, "ownerPassword")
	if part := StoreCredentials(instance, Database, first, random); string(part["password"]) != string(first["password"]) || len(part["ownerPassword"]) == 0 {
		t.Error("completing a Secret replaced what was there, or left something out")
	}
	rotated := StoreCredentials(instance, Database, map[string][]byte{"username": []byte("englog_b"), "password": []byte("p")}, random)
	if got, want := string(rotated["uri"]), "postgres://englog_b:p@j-database.ns.svc:5432/englog?sslmode=disable"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	cache := StoreCredentials(instance, Cache, map[string][]byte{"password": []byte("p")}, random)
	if got, want := string(cache["uri"]), "redis://:p@j-cache.ns.svc:6379/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnfitCredentials(t *testing.T) {
	for name, test := range map[string]struct{ key, value, want string }{
		"nothing":                     {"", "", ""},
		"a second role":               {"username", "englog_b", ""},
		"a line break after the role": {"username", "englog_b\n", "username must consist"},
		"a quote":                     {"username", `a"b`, "username must consist"},
		"the role for people":         {"username", "postgres", "must not be postgres"},
		"the owner":                   {"username", "englog_owner", "must not be postgres"},
		"a role of the server":        {"username", "pg_monitor", "must not be postgres"},
		"a password that is escaped":  {"password", "p@ss/word", ""},
		"a line break after it":       {"password", "secret\n", "password must not contain"},
		"the owner's too":             {"ownerPassword", "a b", "ownerPassword must not contain"},
	} {
		t.Run(name, func(t *testing.T) {
			got := UnfitCredential(map[string][]byte{test.key: []byte(test.value)})
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("%q repeats the value", got)
			}
		})
	}
}

func TestSnapshotForm(t *testing.T) {
	s := Snapshot{
		Version: "1.0.0", Config: map[string]string{"A": "b"}, Connections: 4,
		Templates: map[v1alpha1.ComponentName]corev1.PodTemplateSpec{v1alpha1.API: {Spec: corev1.PodSpec{ServiceAccountName: "a"}}},
	}
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(encoded)
	if err != nil || back.Version != "1.0.0" || back.Config["A"] != "b" || back.Connections != 4 || back.Templates[v1alpha1.API].Spec.ServiceAccountName != "a" {
		t.Errorf("got %+v, %v", back, err)
	}
	for _, bad := range []string{"", "{}", `{"format":2}`, `[]`} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a snapshot", bad)
		}
	}
}
