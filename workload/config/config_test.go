package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/workload/config"
)

const key = "0123456789abcdef0123456789abcdef"

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestEveryErrorIsListedWithItsVariable(t *testing.T) {
	_, err := config.Load(config.RoleAPI, env("PORT", "abc", "ENVIRONMENT", "prod", "READ_TIMEOUT", "7d", "METRICS_ENABLED", "yes",
		"JWT_SECRET", "short", "DB_MAX_CONNS", "0", "LOG_LEVEL", "loud", "TRUSTED_PROXIES", "10.0.0.1"))
	var all *config.Error
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want a list", err)
	}
	for _, name := range []string{"PORT", "ENVIRONMENT", "READ_TIMEOUT", "METRICS_ENABLED", "JWT_SECRET", "DB_MAX_CONNS", "LOG_LEVEL", "TRUSTED_PROXIES", "DATABASE_URL"} {
		if !strings.Contains(err.Error(), "\n  "+name+": ") {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
	if len(all.Problems) != 9 {
		t.Errorf("%d problems, want 9: %v", len(all.Problems), err)
	}
}

func TestRolesNeedOnlyWhatTheyUse(t *testing.T) {
	for _, c := range []struct {
		role, missing string
		env           []string
	}{
		{config.RoleAPI, "", []string{"DATABASE_URL", "postgres://x", "JWT_SECRET", key}},
		{config.RoleAPI, "JWT_SECRET", []string{"DATABASE_URL", "postgres://x"}},
		{config.RoleWorker, "", []string{"DB_HOST", "db"}},
		{config.RoleWorker, "DATABASE_URL", nil},
		{config.RoleWorker, "AI_PROVIDERS", []string{"DB_HOST", "db", "ENVIRONMENT", "production"}},
		{config.RoleWorker, "", []string{"DB_HOST", "db", "ENVIRONMENT", "production", "OLLAMA_ENDPOINT", "http://ollama:11434"}},
		{config.RoleFrontend, "API_URL", nil},
		{config.RoleFrontend, "SESSION_KEY", []string{"API_URL", "http://api"}},
		{config.RoleFrontend, "SESSION_KEY", []string{"API_URL", "http://api", "SESSION_KEY", "short"}},
		{config.RoleFrontend, "SESSION_KEY", []string{"API_URL", "http://api", "SESSION_KEY_FILE", "/nowhere/session"}},
		{config.RoleFrontend, "", []string{"API_URL", "http://api", "SESSION_KEY", key}},
		{config.RoleMigrate, "", []string{"DATABASE_MIGRATION_URL", "postgres://x"}},
	} {
		_, err := config.Load(c.role, env(c.env...))
		if (err == nil) != (c.missing == "") || (err != nil && !strings.Contains(err.Error(), c.missing+": ")) {
			t.Errorf("%s with %v: got %v, want a complaint about %q", c.role, c.env, err, c.missing)
		}
	}
}

func TestDefaultsFollowTheEnvironment(t *testing.T) {
	for environment, want := range map[string]string{
		"development": "DEBUG beta=true advanced=false tracing=false [builtin]",
		"staging":     "INFO beta=true advanced=false tracing=false [builtin]",
		"production":  "WARN beta=false advanced=true tracing=true []",
	} {
		c, err := config.Load(config.RoleMigrate, env("ENVIRONMENT", environment, "DB_HOST", "db"))
		got := fmt.Sprintf("%s beta=%v advanced=%v tracing=%v %v", c.LogLevel, c.Features.Beta, c.Features.AdvancedAI, c.TracingEnabled, c.AI.Providers)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", environment, got, err, want)
		}
	}
}

func TestCredentialFilesAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("p@ss/1\n")
	c, err := config.Load(config.RoleWorker, env("DB_HOST", "db", "DB_USER", "u", "DB_NAME", "n", "DB_PASSWORD_FILE", file, "DB_SSLMODE", "require"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Database.ConnString(); err != nil || got != "postgres://u:p%40ss%2F1@db:5432/n?sslmode=require" {
		t.Errorf("got %s, %v", got, err)
	}
	write("second")
	if got, _ := c.Database.ConnString(); !strings.Contains(got, "u:second@") {
		t.Errorf("the new password is not used: %s", got)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	c, err := config.Load(config.RoleAPI, env("DATABASE_URL", "postgres://u:hidden-1@h/d", "JWT_SECRET", key, "REDIS_PASSWORD", "hidden-2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		shown := fmt.Sprintf(format, c.Auth.JWTSecret) + fmt.Sprintf(format, c)
		if strings.Contains(shown, key) || strings.Contains(shown, "hidden") {
			t.Errorf("%s shows a secret: %s", format, shown)
		}
	}
}

// Each provider has a timeout and a budget of its own; no attempt outlasts the whole call.
func TestProvidersHaveLimitsOfTheirOwn(t *testing.T) {
	c, err := config.Load(config.RoleMigrate, env("DB_HOST", "db", "AI_TIMEOUT", "20s", "OPENAI_TIMEOUT", "5s", "OPENAI_REQUESTS_PER_DAY", "100",
		"OPENAI_TOKENS_PER_DAY", "1000000000000", "OLLAMA_TIMEOUT", "10m", "AZURE_REQUESTS_PER_DAY", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.AI.OpenAI, (config.ProviderLimits{Timeout: 5 * time.Second, RequestsPerDay: 100, TokensPerDay: 1_000_000_000_000}); got != want {
		t.Errorf("OpenAI: %+v, want %+v", got, want)
	}
	if got, want := c.AI.Ollama, (config.ProviderLimits{Timeout: 20 * time.Second}); got != want {
		t.Errorf("Ollama: %+v, want %+v", got, want)
	}
	if got, want := c.AI.Azure, (config.ProviderLimits{Timeout: 20 * time.Second}); got != want {
		t.Errorf("Azure: %+v, want %+v", got, want)
	}
	if _, err := config.Load(config.RoleMigrate, env("DB_HOST", "db", "OLLAMA_TOKENS_PER_DAY", "-1", "AZURE_TIMEOUT", "soon")); err == nil ||
		!strings.Contains(err.Error(), "OLLAMA_TOKENS_PER_DAY: ") || !strings.Contains(err.Error(), "AZURE_TIMEOUT: ") {
		t.Errorf("bad limits: %v", err)
	}
}

// A URL gets the certificates to believe, and how strictly to check, unless it says so itself.
func TestCertificatesOfStores(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"postgres://u:p@db/n", "postgres://u:p@db/n?sslmode=verify-full&sslrootcert=%2Fca.crt"},
		{"postgres://u:p@db/n?sslmode=require", "postgres://u:p@db/n?sslmode=require&sslrootcert=%2Fca.crt"},
		{"postgres://db/n?sslrootcert=mine", "postgres://db/n?sslmode=verify-full&sslrootcert=mine"},
		{"host=db user=u", "host=db user=u sslrootcert='/ca.crt' sslmode=verify-full"},
	} {
		loaded, err := config.Load(config.RoleWorker, env("DATABASE_URL", c.url, "DB_SSLMODE", "verify-full", "DB_SSLROOTCERT_FILE", "/ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := loaded.Database.ConnString(); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.url, got, err, c.want)
		}
	}
	plain, err := config.Load(config.RoleWorker, env("DATABASE_URL", "postgres://db/n", "DB_SSLMODE", "verify-full", "REDIS_HOST", "r", "REDIS_TLS", "require"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := plain.Database.ConnString(); got != "postgres://db/n" {
		t.Errorf("without certificates the URL changed: %s", got)
	}
	if url, _ := plain.Redis.URL(); url != "rediss://r:6379" || !plain.Redis.AnyCertificate() {
		t.Errorf("REDIS_TLS=require: %s, any certificate %v", url, plain.Redis.AnyCertificate())
	}
	missing, err := config.Load(config.RoleWorker, env("DB_HOST", "db", "REDIS_TLS", "verify-full", "REDIS_TLS_CA_FILE", "/nowhere/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Redis.CA(); err == nil || !strings.Contains(err.Error(), "REDIS_TLS_CA") || missing.Redis.AnyCertificate() {
		t.Errorf("a missing file of certificates is believed to be none: %v", err)
	}
}
