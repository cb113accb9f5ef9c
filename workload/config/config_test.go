package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		{config.RoleFrontend, "", []string{"API_URL", "http://api"}},
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
