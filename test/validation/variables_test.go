package validation

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/workload/config"
)

var update = flag.Bool("update", false, "write docs/reference/configuration.md instead of comparing it")

// fields says which field of the spec sets a variable of the service.
var fields = map[string]string{
	"ENVIRONMENT":     "environment",
	"APP_VERSION":     "version",
	"PORT":            "config.port",
	"READ_TIMEOUT":    "config.readTimeoutSeconds",
	"WRITE_TIMEOUT":   "config.writeTimeoutSeconds",
	"DRAIN_DELAY":     "config.drainDelaySeconds",
	"TRUSTED_PROXIES": "config.trustedProxies",
	"LOG_LEVEL":       "config.logLevel",
	"RATE_LIMIT_RPS":  "exposure.rateLimit.requestsPerSecond",

	"MAX_CONTENT_SIZE":            "config.maxContentBytes",
	"WORKER_CONCURRENCY":          "worker.concurrency",
	"DRAIN_TIMEOUT":               "worker.drainTimeoutSeconds",
	"METRICS_ENABLED":             "monitoring.metrics",
	"TRACING_ENABLED":             "tracing.mode",
	"OTEL_EXPORTER_OTLP_ENDPOINT": "tracing.endpoint",
	"OTEL_TRACES_SAMPLER_ARG":     "tracing.samplingPercentage",

	"DATABASE_URL":           "database.external.secretRef.keys.uri",
	"DATABASE_MIGRATION_URL": "database.external.secretRef.keys.directURI",
	"DATABASE_POOLING":       "database.external.pooling",
	"DB_HOST":                "database.external.host",
	"DB_PORT":                "database.external.port",
	"DB_NAME":                "database.external.name",
	"DB_USER":                "database.external.user",
	"DB_PASSWORD":            "database.external.secretRef.keys.password",
	"DB_SSLMODE":             "database.external.tls.mode",
	"DB_SSLROOTCERT":         "database.external.tls.caSecretRef",
	"DB_MAX_CONNS":           "database.maxConnectionsPerPod",
	"DB_TIMEOUT":             "database.timeoutSeconds",

	"REDIS_URL":         "cache.external.secretRef.keys.uri",
	"REDIS_HOST":        "cache.external.host",
	"REDIS_PORT":        "cache.external.port",
	"REDIS_USER":        "cache.external.user",
	"REDIS_PASSWORD":    "cache.external.secretRef.keys.password",
	"REDIS_TLS":         "cache.external.tls.mode",
	"REDIS_TLS_CA":      "cache.external.tls.caSecretRef",
	"REDIS_MAX_RETRIES": "cache.maxRetries",

	"JWT_SECRET":           "auth.secretRef.keys.current",
	"JWT_SECRET_PREVIOUS":  "auth.secretRef.keys.previous",
	"JWT_SECRET_NEXT":      "auth.secretRef.keys.next",
	"SESSION_KEY":          "auth.secretRef.keys.session",
	"BOOTSTRAP_INVITE":     "auth.secretRef.keys.bootstrapInvite",
	"SESSION_TIMEOUT":      "auth.sessionTimeoutSeconds",
	"JWT_ACCESS_TTL":       "auth.accessTokenSeconds",
	"JWT_REFRESH_TTL":      "auth.refreshTokenSeconds",
	"REGISTRATION":         "auth.registration",
	"PASSWORD_SALT_ROUNDS": "auth.passwordSaltRounds",

	"AI_PROVIDERS":      "ai.providers",
	"AI_TIMEOUT":        "ai.timeoutSeconds",
	"AI_DAILY_REQUESTS": "ai.requestsPerUserPerDay",
	"OPENAI_API_KEY":    "ai.providers.openAI.apiKeySecretRef",
	"OPENAI_BASE_URL":   "ai.providers.openAI.baseURL",
	"OPENAI_MODEL":      "ai.providers.openAI.model",
	"AZURE_API_KEY":     "ai.providers.azureOpenAI.apiKeySecretRef",
	"AZURE_ENDPOINT":    "ai.providers.azureOpenAI.endpoint",
	"AZURE_DEPLOYMENT":  "ai.providers.azureOpenAI.deployment",
	"AZURE_API_VERSION": "ai.providers.azureOpenAI.apiVersion",
	"OLLAMA_ENDPOINT":   "ai.providers.ollama.endpoint",
	"OLLAMA_MODEL":      "ai.providers.ollama.model",

	"OPENAI_TIMEOUT":          "ai.providers.timeoutSeconds",
	"OPENAI_REQUESTS_PER_DAY": "ai.providers.budget.requestsPerDay",
	"OPENAI_TOKENS_PER_DAY":   "ai.providers.budget.tokensPerDay",
	"AZURE_TIMEOUT":           "ai.providers.timeoutSeconds",
	"AZURE_REQUESTS_PER_DAY":  "ai.providers.budget.requestsPerDay",
	"AZURE_TOKENS_PER_DAY":    "ai.providers.budget.tokensPerDay",
	"OLLAMA_TIMEOUT":          "ai.providers.timeoutSeconds",
	"OLLAMA_REQUESTS_PER_DAY": "ai.providers.budget.requestsPerDay",
	"OLLAMA_TOKENS_PER_DAY":   "ai.providers.budget.tokensPerDay",

	"FEATURE_ADVANCED_AI":   "features.advancedAI",
	"FEATURE_GROUP_SHARING": "features.groupSharing",
	"FEATURE_EXPORT":        "features.export",
	"FEATURE_BETA":          "features.beta",

	"SMTP_HOST":       "mail.smtp.host",
	"SMTP_PORT":       "mail.smtp.port",
	"SMTP_FROM":       "mail.smtp.from",
	"SMTP_USERNAME":   "mail.smtp.user",
	"SMTP_PASSWORD":   "mail.smtp.passwordSecretRef",
	"SMTP_ENCRYPTION": "mail.smtp.encryption",
}

// exempt lists the variables that no user sets, and why.
var exempt = map[string]string{
	"ENGLOG_INSTANCE": "follows from namespace and name",
	"ENGLOG_REVISION": "follows from the revision",
	"ENGLOG_COLOR":    "follows from the color",
	"POD_NAME":        "the pod's own name",
	"ADMIN_PORT":      "always 8081: probes, metrics and the operator use it",
	"API_PORT":        "an older spelling of PORT",
	"DB_URL":          "an older spelling of DATABASE_URL",
	"API_URL":         "the API Service of the frontend's own color",
	"TERMINATION_LOG": "the path that Kubernetes reads",
}

// lookedUp records what the service asks its environment for, in every role.
func lookedUp() []string {
	names := map[string]bool{}
	for _, role := range []string{config.RoleAPI, config.RoleWorker, config.RoleFrontend, config.RoleMigrate, config.RoleDev} {
		_, _ = config.Load(role, func(name string) string { // what is missing does not matter here
			names[strings.TrimSuffix(name, "_FILE")] = true
			return ""
		})
	}
	return slices.Sorted(maps.Keys(names))
}

func TestEveryVariableHasAField(t *testing.T) {
	for _, name := range lookedUp() {
		_, field := fields[name]
		_, excused := exempt[name]
		switch {
		case !field && !excused:
			t.Errorf("%s is read by the service, and no field of the spec sets it: add one, or excuse it in exempt", name)
		case field && excused:
			t.Errorf("%s has a field and is exempt: drop one of the two", name)
		}
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	read := lookedUp()
	schema := specSchema(t)
	for name, path := range fields {
		if !slices.Contains(read, name) {
			t.Errorf("%s sets %s, which the service does not read", path, name)
		}
		if !has(schema, strings.Split(path, ".")) {
			t.Errorf("%s: the spec has no field %s", name, path)
		}
	}
}

func specSchema(t *testing.T) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile("../../config/crd/bases/englog.io_engloginstances.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

func has(schema apiextensionsv1.JSONSchemaProps, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if schema.Items != nil {
		schema = *schema.Items.Schema
	}
	child, ok := schema.Properties[path[0]]
	return ok && has(child, path[1:])
}

// TestConfigurationReference keeps docs/reference/configuration.md equal to the tables above.
// Write it anew with: go test ./test/validation -run TestConfigurationReference -update
func TestConfigurationReference(t *testing.T) {
	const path = "../../docs/reference/configuration.md"
	var want bytes.Buffer
	want.WriteString(configurationIntroduction)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&want, "| `%s` | `spec.%s` |\n", name, fields[name])
	}
	want.WriteString("\nSet by the operator alone:\n\n| variable | value |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(exempt)) {
		fmt.Fprintf(&want, "| `%s` | %s |\n", name, exempt[name])
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is out of date: run this test with -update and look at the difference", path)
	}
}

const configurationIntroduction = `# Variables of the service

<!-- Written by TestConfigurationReference in test/validation. Do not edit. -->

The service is configured by its environment alone. In an instance each variable is set by one field of the spec; what a field
defaults to is in [defaults.md](defaults.md), and ` + "`status.effective`" + ` shows what the pods were given. Secrets reach the service as files,
which it reads again when it connects: ` + "`NAME_FILE`" + ` holds the path of the file instead of the value.

| variable | field |
|---|---|
`
