package render

import (
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

const adminPort = 8081

// environment is the non-secret environment of a revision, the same for all components. What a Secret gives is not in it.
func environment(in Input, given map[string]bool) map[string]string {
	env := map[string]string{
		"ENGLOG_INSTANCE": in.Instance.Namespace + "." + in.Instance.Name,
		"APP_VERSION":     in.Spec.Version,
		"ENVIRONMENT":     lower(in.Spec.Environment),
		"ADMIN_PORT":      strconv.Itoa(adminPort),
	}
	for _, part := range []map[string]string{
		serviceEnvironment(&in.Spec), databaseEnvironment(&in.Spec), cacheEnvironment(&in.Spec), authEnvironment(&in.Spec),
		aiEnvironment(&in.Spec), featureEnvironment(&in.Spec), mailEnvironment(&in.Spec), observabilityEnvironment(&in.Spec), proxyEnvironment(&in.Spec),
	} {
		maps.Copy(env, part)
	}
	maps.DeleteFunc(env, func(name, value string) bool { return value == "" || given[name] })
	return env
}

func serviceEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	return map[string]string{
		"PORT":               number(s.Config.Port),
		"LOG_LEVEL":          lower(s.Config.LogLevel),
		"READ_TIMEOUT":       duration(s.Config.ReadTimeoutSeconds),
		"WRITE_TIMEOUT":      duration(s.Config.WriteTimeoutSeconds),
		"MAX_CONTENT_SIZE":   number(s.Config.MaxContentBytes),
		"DRAIN_DELAY":        duration(s.Config.DrainDelaySeconds),
		"TRUSTED_PROXIES":    strings.Join(s.Config.TrustedProxies, ","),
		"RATE_LIMIT_RPS":     number(s.Exposure.RateLimit.RequestsPerSecond),
		"WORKER_CONCURRENCY": number(s.Worker.Concurrency),
	}
}

// databaseEnvironment says all that the Secret may leave open. The service prefers a URI, and what the URI says.
func databaseEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	env := map[string]string{
		"DB_MAX_CONNS": number(revision.Connections(s)),
		"DB_TIMEOUT":   duration(s.Database.TimeoutSeconds),
	}
	e := s.Database.External
	if e == nil {
		env["DB_SSLMODE"] = "disable" // the Managed database is a neighbour without certificates; NetworkPolicies guard it
		return env
	}
	env["DB_HOST"], env["DB_PORT"], env["DB_NAME"], env["DB_USER"] = e.Host, number(e.Port), e.Name, e.User
	env["DB_SSLMODE"] = map[v1alpha1.DatabaseTLSMode]string{
		v1alpha1.DatabaseTLSDisable: "disable", v1alpha1.DatabaseTLSPrefer: "prefer", v1alpha1.DatabaseTLSRequire: "require",
		v1alpha1.DatabaseTLSVerifyCA: "verify-ca", v1alpha1.DatabaseTLSVerifyFull: "verify-full",
	}[e.TLS.Mode]
	env["DATABASE_POOLING"] = lower(e.Pooling)
	return env
}

func cacheEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	env := map[string]string{"REDIS_MAX_RETRIES": number(*s.Cache.MaxRetries)}
	if e := s.Cache.External; e != nil {
		env["REDIS_HOST"], env["REDIS_PORT"], env["REDIS_USER"] = e.Host, number(e.Port), e.User
		env["REDIS_TLS"] = map[v1alpha1.CacheTLSMode]string{
			v1alpha1.CacheTLSDisable: "disable", v1alpha1.CacheTLSRequire: "require", v1alpha1.CacheTLSVerifyFull: "verify-full",
		}[e.TLS.Mode]
	}
	return env
}

func authEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	env := map[string]string{
		"JWT_ACCESS_TTL":  duration(s.Auth.AccessTokenSeconds),
		"JWT_REFRESH_TTL": duration(s.Auth.RefreshTokenSeconds),
		"SESSION_TIMEOUT": duration(s.Auth.SessionTimeoutSeconds),
		"REGISTRATION":    lower(s.Auth.Registration),
	}
	if rounds := s.Auth.PasswordSaltRounds; rounds > 0 {
		env["PASSWORD_SALT_ROUNDS"] = number(rounds)
	}
	return env
}

// aiEnvironment lists the providers in the order in which they are asked, and gives each its own settings.
func aiEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	env := map[string]string{"AI_TIMEOUT": duration(s.AI.TimeoutSeconds), "AI_DAILY_REQUESTS": number(*s.AI.RequestsPerUserPerDay)}
	kinds := make([]string, 0, len(s.AI.Providers))
	for _, p := range s.AI.Providers {
		kind := map[v1alpha1.AIProviderType]string{
			v1alpha1.AIProviderOpenAI: "openai", v1alpha1.AIProviderAzureOpenAI: "azureopenai", v1alpha1.AIProviderOllama: "ollama", v1alpha1.AIProviderBuiltin: "builtin",
		}[p.Type]
		kinds = append(kinds, kind)
		maps.Copy(env, providerEnvironment(p))
	}
	env["AI_PROVIDERS"] = strings.Join(kinds, ",")
	return env
}

// providerEnvironment prefixes every setting with the provider's kind: a spec holds at most one of each.
func providerEnvironment(p v1alpha1.AIProvider) map[string]string {
	prefix := map[v1alpha1.AIProviderType]string{
		v1alpha1.AIProviderOpenAI: "OPENAI", v1alpha1.AIProviderAzureOpenAI: "AZURE", v1alpha1.AIProviderOllama: "OLLAMA",
	}[p.Type]
	if prefix == "" {
		return nil // what is built in has nothing to set
	}
	env := map[string]string{prefix + "_TIMEOUT": duration(p.TimeoutSeconds)}
	if b := p.Budget; b != nil {
		env[prefix+"_REQUESTS_PER_DAY"], env[prefix+"_TOKENS_PER_DAY"] = positive(int64(b.RequestsPerDay)), positive(b.TokensPerDay)
	}
	if o := p.OpenAI; o != nil {
		env["OPENAI_BASE_URL"], env["OPENAI_MODEL"] = o.BaseURL, o.Model
	}
	if a := p.AzureOpenAI; a != nil {
		env["AZURE_ENDPOINT"], env["AZURE_DEPLOYMENT"], env["AZURE_API_VERSION"] = a.Endpoint, a.Deployment, a.APIVersion
	}
	if o := p.Ollama; o != nil {
		env["OLLAMA_ENDPOINT"], env["OLLAMA_MODEL"] = o.Endpoint, o.Model
	}
	return env
}

func featureEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	return map[string]string{
		"FEATURE_ADVANCED_AI":   enabled(s.Features.AdvancedAI),
		"FEATURE_GROUP_SHARING": enabled(s.Features.GroupSharing),
		"FEATURE_EXPORT":        enabled(s.Features.Export),
		"FEATURE_BETA":          enabled(s.Features.Beta),
	}
}

func mailEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	m := s.Mail.SMTP
	if m == nil {
		return nil
	}
	return map[string]string{
		"SMTP_HOST": m.Host, "SMTP_PORT": number(m.Port), "SMTP_FROM": m.From, "SMTP_USERNAME": m.User, "SMTP_ENCRYPTION": lower(m.Encryption),
	}
}

func observabilityEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	env := map[string]string{
		"METRICS_ENABLED": enabled(s.Monitoring.Metrics),
		"TRACING_ENABLED": enabled(s.Tracing.Mode),
	}
	if s.Tracing.Mode == v1alpha1.ModeEnabled {
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = s.Tracing.Endpoint
		env["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
		env["OTEL_TRACES_SAMPLER_ARG"] = strconv.FormatFloat(float64(*s.Tracing.SamplingPercentage)/100, 'f', -1, 64)
	}
	return env
}

// proxyEnvironment never sends the cluster's own names through the proxy.
func proxyEnvironment(s *v1alpha1.EngLogInstanceSpec) map[string]string {
	p := s.Config.Proxy
	if p == nil {
		return nil
	}
	direct := append([]string{"localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"}, p.NoProxy...)
	return map[string]string{"HTTP_PROXY": p.HTTPProxy, "HTTPS_PROXY": p.HTTPSProxy, "NO_PROXY": strings.Join(direct, ",")}
}

// databaseParts are the parts of a connection that a Secret or the spec may give. The service refuses a part that both give.
var databaseParts = []string{"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER"}

// migrationParts are the parts of the owner's connection, where they differ from what the shared environment says of the service's.
func migrationParts(s *v1alpha1.EngLogInstanceSpec, shared map[string]string, references []revision.Reference) []corev1.EnvVar {
	file, parts := map[string]bool{}, false
	for _, r := range references {
		file[r.Variable] = true
		parts = parts || r.Group == revision.Migration && r.Variable == "DB_PASSWORD"
	}
	if !parts {
		return nil
	}
	var env []corev1.EnvVar
	given := databaseEnvironment(s)
	for _, name := range databaseParts {
		value := given[name]
		if file[name] {
			value = ""
		}
		if value != shared[name] {
			env = append(env, corev1.EnvVar{Name: name, Value: value})
		}
	}
	return env
}

// givenBy lists the variables that mounted files answer for.
func givenBy(references []revision.Reference) map[string]bool {
	given := map[string]bool{}
	for _, r := range references {
		if r.Group != revision.Migration {
			given[r.Variable] = true
		}
		if r.Choice == revision.Database && r.Variable == "DATABASE_URL" {
			for _, part := range databaseParts {
				given[part] = true
			}
		}
		if r.Choice == revision.Cache && r.Variable == "REDIS_URL" {
			for _, part := range []string{"REDIS_HOST", "REDIS_PORT", "REDIS_USER"} {
				given[part] = true
			}
		}
	}
	return given
}

func number(n int32) string { return strconv.FormatInt(int64(n), 10) }

func positive(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func duration(seconds int32) string { return number(seconds) + "s" }

func enabled(m v1alpha1.Mode) string { return strconv.FormatBool(m == v1alpha1.ModeEnabled) }
