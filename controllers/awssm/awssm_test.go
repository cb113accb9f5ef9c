package awssm

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

const value = "a-value-that-must-not-be-told"

func covers(t *testing.T, ids ...string) {
	t.Helper()
	t.Logf("covers %s", strings.Join(ids, " "))
}

// secretServer speaks the wire protocol of AWS Secrets Manager
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html): one POST, its operation in X-Amz-Target.
func secretServer(t *testing.T, status int, body string) (url string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			SecretID string `json:"SecretId"`
		}
		if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || json.NewDecoder(r.Body).Decode(&request) != nil {
			t.Errorf("unexpected %s %s", r.Method, r.Header.Get("X-Amz-Target"))
		}
		scope := strings.Split(r.Header.Get("Authorization"), "/")
		*asked = append(*asked, request.SecretID+" in "+scope[min(2, len(scope)-1)])
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return server.URL, asked
}

func production(namespace string) *v1alpha1.EngLogInstance {
	return &v1alpha1.EngLogInstance{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "demo", UID: "1"},
		Spec: v1alpha1.EngLogInstanceSpec{
			Environment: v1alpha1.EnvironmentProduction,
			Database:    v1alpha1.DatabaseSpec{Type: v1alpha1.StoreExternal}, Cache: v1alpha1.CacheSpec{Type: v1alpha1.StoreExternal},
			Secrets: &v1alpha1.SecretsSpec{
				Type: v1alpha1.SecretsAWSSecretsManager, AWSSecretsManager: &v1alpha1.AWSSecretsManager{Identity: v1alpha1.AWSIdentityOperator},
			},
		},
	}
}

var key = types.NamespacedName{Namespace: "journals", Name: "demo"}

func copier(endpoint string, now *time.Time) *Copier {
	nothing := func(types.NamespacedName) {}
	return New(Options{Prefix: "englog/", Endpoint: endpoint, Changed: nothing, Wake: nothing, Now: func() time.Time { return *now }})
}

func wanted(c *Copier) *source {
	instance := production(key.Namespace)
	c.Want(instance, revision.References(instance.Name, instance.Resolve()))
	return c.known[key]
}

func answered(t *testing.T, all map[string]any) string {
	t.Helper()
	inner, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := json.Marshal(map[string]string{"Name": "englog/production/app", "SecretString": string(inner)})
	if err != nil {
		t.Fatal(err)
	}
	return string(outer)
}

func TestFetchTakesKnownNamesOnly(t *testing.T) {
	covers(t, "J1", "J2", "J4", "J5", "J6", "X15", "B9")
	url, asked := secretServer(t, 200, answered(t, map[string]any{
		"DATABASE_URL": "postgres://db", "JWT_SECRET": value, "PATH": "/tmp", "LD_PRELOAD": "x.so", "ENVIRONMENT": "development", "SOMETHING": 1,
	}))
	now := time.Now()
	c := copier(url, &now)
	got, err := c.fetch(t.Context(), wanted(c))
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"DATABASE_URL", "JWT_SECRET"}) || string(got["JWT_SECRET"]) != value {
		t.Errorf("took %v", names)
	}
	if !slices.Equal(*asked, []string{"englog/production/app in us-west-2"}) {
		t.Errorf("asked for %v", *asked)
	}
}

func TestFetchTellsTheCauseAndNoValue(t *testing.T) {
	covers(t, "J2", "X15")
	for _, c := range []struct {
		name   string
		status int
		body   string
		says   []string
	}{
		{"not found", 400, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`, []string{"englog/production/app in us-west-2", "ResourceNotFoundException", "can't find"}},
		{"denied", 400, `{"__type":"AccessDeniedException","Message":"not authorized to perform: secretsmanager:GetSecretValue"}`, []string{"AccessDeniedException", "not authorized"}},
		{"binary", 200, `{"Name":"englog/production/app","SecretBinary":"AAEC"}`, []string{"is binary", "JSON object"}},
		{"no object", 200, `{"SecretString":"` + value + `"}`, []string{"is no JSON object"}},
		{"a number", 200, answered(t, map[string]any{"JWT_SECRET": 17}), []string{"under JWT_SECRET", "in quotes"}},
		{"nested", 200, answered(t, map[string]any{"JWT_SECRET": map[string]string{"a": value}}), []string{"under JWT_SECRET"}},
		{"nothing needed", 200, answered(t, map[string]any{"OTHER": value}), []string{"none of the keys", "DATABASE_URL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := secretServer(t, c.status, c.body)
			now := time.Now()
			copier := copier(url, &now)
			_, err := copier.fetch(t.Context(), wanted(copier))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "RequestID") {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

func TestFetchWithoutAnAnswer(t *testing.T) {
	secretServer(t, 200, "")
	now := time.Now()
	c := copier("http://127.0.0.1:1", &now)
	if _, err := c.fetch(t.Context(), wanted(c)); err == nil || !strings.Contains(err.Error(), "AWS does not answer: ") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
}

func TestOperatorIdentityIsTiedToTheNamespace(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ prefix, id, says string }{
		{"", "englog/production/app", "--aws-secret-prefix"},
		{"englog/{namespace}/", "englog/production/app", "does not begin with englog/journals/"},
		{"englog/{namespace}/", "englog/journals/app", ""},
		{"englog/{namespace}/", "arn:aws:secretsmanager:us-west-2:123456789012:secret:englog/journals/app-a1b2c3", ""},
		{"englog/{namespace}/", "arn:aws:secretsmanager:us-west-2:123456789012:secret:englog/other/app-a1b2c3", "does not begin with"},
		{"englog/{namespace}/", "arn:aws:secretsmanager", "no ARN"},
	} {
		copier := copier("", &now)
		copier.options.Prefix = c.prefix
		s := wanted(copier)
		s.spec.SecretID = c.id
		err := copier.permit(s)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q of %q: %v", c.id, c.prefix, err)
		}
	}
	for prefix, ok := range map[string]bool{"": true, "englog/{namespace}/": true, "englog/": false, "englog/{namespace}": false} {
		if err := CheckPrefix(prefix); (err == nil) != ok {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

func TestFailuresBackOffAndWakeOnce(t *testing.T) {
	covers(t, "X15")
	now := time.Now()
	c := copier("", &now)
	wakes := 0
	c.options.Wake = func(types.NamespacedName) { wakes++ }
	s := wanted(c)
	var waits []time.Duration
	for range 9 {
		c.record(key, s, false, fmt.Errorf("down"))
		waits = append(waits, s.dueAt.Sub(now))
	}
	if want := []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300}; !slices.EqualFunc(waits, want, func(a, b time.Duration) bool { return a == b*time.Second }) {
		t.Errorf("waited %v", waits)
	}
	if wakes != 1 || c.Problem(key) != "spec.secrets.awsSecretsManager: down" {
		t.Errorf("%d wakes, problem %q", wakes, c.Problem(key))
	}
	c.record(key, s, true, nil)
	if wakes != 2 || c.Problem(key) != "" || s.dueAt.Sub(now) != time.Hour {
		t.Errorf("%d wakes, problem %q, next in %s", wakes, c.Problem(key), s.dueAt.Sub(now))
	}
}

func TestWantFollowsTheSpec(t *testing.T) {
	covers(t, "J3")
	now := time.Now()
	c := copier("", &now)
	first := wanted(c)
	c.record(key, first, false, nil)
	if again := wanted(c); again != first {
		t.Error("the same wish began anew")
	}
	changed := production(key.Namespace)
	changed.Spec.Secrets.AWSSecretsManager.Region = "eu-central-1"
	c.Want(changed, revision.References("demo", changed.Resolve()))
	if s := c.known[key]; s == first || s.dueAt.After(now) {
		t.Error("another region did not begin anew")
	}
	changed.Spec.Secrets = nil
	c.Want(changed, nil)
	if len(c.due()) != 0 {
		t.Error("an instance that wants nothing of AWS is still due")
	}
}
