package config

import (
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"
)

// Roles of the program.
const (
	RoleAPI      = "api"
	RoleWorker   = "worker"
	RoleFrontend = "frontend"
	RoleMigrate  = "migrate"
	RoleDev      = "dev"
)

// Environments that ENVIRONMENT may name.
const (
	Development = "development"
	Staging     = "staging"
	Production  = "production"
)

// Config is everything the program is told from outside.
type Config struct {
	Role        string
	Environment string
	Identity    Identity
	LogLevel    slog.Level

	Port, AdminPort           int
	ReadTimeout, WriteTimeout time.Duration
	DrainDelay, DrainTimeout  time.Duration
	// APIURL is where the frontend finds the API.
	APIURL string
	// TrustedProxies are the networks whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	RateLimitRPS   int
	MaxContentSize int

	Database Database
	Redis    Redis
	Auth     Auth
	AI       AI
	Mail     Mail
	Features Features

	WorkerConcurrency int
	MetricsEnabled    bool
	TracingEnabled    bool
	OTLPEndpoint      string
	// TraceRatio of the traces that begin here is kept.
	TraceRatio     float64
	TerminationLog string
}

// Identity tells which instance and which of its pods this is.
type Identity struct {
	Instance string // <namespace>.<name>
	Revision string
	Color    string
	Pod      string
	Version  string
}

// Auth are the settings of accounts.
type Auth struct {
	JWTSecret, JWTPrevious, JWTNext Secret
	SessionKey                      Secret // the frontend's cookie
	SessionTimeout                  time.Duration
	// AccessTTL and RefreshTTL are the lifetimes of access tokens and of sessions.
	AccessTTL, RefreshTTL time.Duration
	// BcryptCost is PASSWORD_SALT_ROUNDS; 0 means argon2id.
	BcryptCost int
	// Registration is open, invite or closed.
	Registration string
	// BootstrapInvite opens the first account of an instance.
	BootstrapInvite Secret
}

// AI are the settings of the providers; Providers is their order.
type AI struct {
	Providers []string
	// Timeout bounds one call of a provider with all its attempts.
	Timeout               time.Duration
	OpenAI, Azure, Ollama ProviderLimits
	OpenAIKey             Secret
	OpenAIModel           string
	OpenAIBaseURL         string
	AzureKey              Secret
	AzureEndpoint         string
	AzureModel            string
	AzureVersion          string
	OllamaEndpoint        string
	OllamaModel           string
	DailyRequests         int
}

// ProviderLimits are the settings that each provider has of its own.
type ProviderLimits struct {
	Timeout time.Duration // of one attempt; at most that of the whole call
	// RequestsPerDay and TokensPerDay are what all users together may ask of the
	// provider in one day (UTC); 0: no limit.
	RequestsPerDay, TokensPerDay int64
}

// Mail is the SMTP server for login codes; without a host they go to the
// development mailbox.
type Mail struct {
	Host, Username, From string
	Port                 int
	Password             Secret
	// Encryption is starttls (used where the server offers it, and demanded
	// before a password is sent), tls (from the first byte) or disable.
	Encryption string
}

// Features are the switches of I21 to I24; one that is off answers 404.
type Features struct {
	AdvancedAI   bool `json:"advanced_ai"`
	GroupSharing bool `json:"group_sharing"`
	Export       bool `json:"export"`
	Beta         bool `json:"beta"`
}

// FromEnvironment reads the settings of a role from the process's environment.
func FromEnvironment(role string) (Config, error) { return Load(role, os.Getenv) }

// Load reads the settings of a role. The error, if any, is an *Error that lists
// every problem.
func Load(role string, lookup func(string) string) (Config, error) {
	p := &parser{lookup: lookup}
	c := Config{Role: role, Environment: p.oneOf("ENVIRONMENT", Development, Development, Staging, Production)}
	c.loadServer(p)
	c.Database = loadDatabase(p)
	c.Redis = loadRedis(p)
	c.loadAuth(p)
	c.loadAI(p)
	c.loadRest(p)
	c.require(p)
	if len(p.problems) > 0 {
		return c, &Error{Problems: p.problems}
	}
	return c, nil
}

func (c *Config) loadServer(p *parser) {
	c.Identity = Identity{
		Instance: p.text("ENGLOG_INSTANCE", "default.englog"), Revision: p.text("ENGLOG_REVISION", "none"),
		Color: p.text("ENGLOG_COLOR", ""), Pod: p.text("POD_NAME", hostname()), Version: p.text("APP_VERSION", ""),
	}
	c.Port = p.first(8080, 1, 65535, "PORT", "API_PORT")
	c.AdminPort = p.number("ADMIN_PORT", 8081, 1, 65535)
	c.ReadTimeout = p.duration("READ_TIMEOUT", 30*time.Second, time.Second, time.Hour)
	c.WriteTimeout = p.duration("WRITE_TIMEOUT", 30*time.Second, time.Second, time.Hour)
	c.DrainDelay = p.duration("DRAIN_DELAY", 5*time.Second, 0, 10*time.Minute)
	c.DrainTimeout = p.duration("DRAIN_TIMEOUT", 25*time.Second, time.Second, time.Hour)
	c.APIURL = p.address("API_URL", "")
	c.TrustedProxies = p.networks("TRUSTED_PROXIES")
	c.RateLimitRPS = p.number("RATE_LIMIT_RPS", 100, 1, 1_000_000)
	c.MaxContentSize = p.number("MAX_CONTENT_SIZE", 50_000, 1_000, 1<<20)
	if c.Port == c.AdminPort && c.serves() {
		p.bad("ADMIN_PORT", "it equals PORT: set another one")
	}
}

func (c *Config) serves() bool { return c.Role != RoleMigrate && c.Role != "" }

func (c *Config) loadAuth(p *parser) {
	c.Auth = Auth{
		JWTSecret: p.secret("JWT_SECRET"), JWTPrevious: p.secret("JWT_SECRET_PREVIOUS"), JWTNext: p.secret("JWT_SECRET_NEXT"),
		SessionKey: p.secret("SESSION_KEY"), BootstrapInvite: p.secret("BOOTSTRAP_INVITE"),
		SessionTimeout: p.duration("SESSION_TIMEOUT", 24*time.Hour, time.Minute, 90*24*time.Hour),
		AccessTTL:      p.duration("JWT_ACCESS_TTL", 15*time.Minute, time.Minute, 24*time.Hour),
		RefreshTTL:     p.duration("JWT_REFRESH_TTL", 7*24*time.Hour, 10*time.Minute, 365*24*time.Hour),
		Registration:   p.oneOf("REGISTRATION", "open", "open", "invite", "closed"),
	}
	if p.lookup("PASSWORD_SALT_ROUNDS") != "" {
		c.Auth.BcryptCost = p.number("PASSWORD_SALT_ROUNDS", 12, 10, 16)
	}
}

func (c *Config) loadAI(p *parser) {
	c.AI = AI{
		Timeout:   p.duration("AI_TIMEOUT", 30*time.Second, time.Second, 10*time.Minute),
		OpenAIKey: p.secret("OPENAI_API_KEY"), OpenAIModel: p.text("OPENAI_MODEL", "gpt-4o-mini"), OpenAIBaseURL: p.address("OPENAI_BASE_URL", ""),
		AzureKey: p.secret("AZURE_API_KEY"), AzureEndpoint: p.address("AZURE_ENDPOINT", ""), AzureModel: p.text("AZURE_DEPLOYMENT", ""),
		AzureVersion: p.text("AZURE_API_VERSION", "2024-10-21"), OllamaEndpoint: p.address("OLLAMA_ENDPOINT", ""),
		OllamaModel: p.text("OLLAMA_MODEL", "llama3.2"), DailyRequests: p.number("AI_DAILY_REQUESTS", 500, 0, 1_000_000),
	}
	c.AI.OpenAI = ProviderLimits{p.attempt("OPENAI_TIMEOUT", c.AI.Timeout), p.count("OPENAI_REQUESTS_PER_DAY"), p.count("OPENAI_TOKENS_PER_DAY")}
	c.AI.Azure = ProviderLimits{p.attempt("AZURE_TIMEOUT", c.AI.Timeout), p.count("AZURE_REQUESTS_PER_DAY"), p.count("AZURE_TOKENS_PER_DAY")}
	c.AI.Ollama = ProviderLimits{p.attempt("OLLAMA_TIMEOUT", c.AI.Timeout), p.count("OLLAMA_REQUESTS_PER_DAY"), p.count("OLLAMA_TOKENS_PER_DAY")}
	for _, name := range strings.FieldsFunc(p.lookup("AI_PROVIDERS"), func(r rune) bool { return r == ',' || r == ' ' }) {
		switch name = strings.ToLower(name); name {
		case "openai", "azureopenai", "ollama", "builtin":
			c.AI.Providers = append(c.AI.Providers, name)
		default:
			p.bad("AI_PROVIDERS", "%q is not known: set a list of openai, azureopenai, ollama, builtin", name)
		}
	}
	if len(c.AI.Providers) == 0 {
		c.AI.Providers = c.AI.configured(c.Environment)
	}
}

// configured is the order of the original design: what has its settings, and
// the built-in analysis last outside production or where nothing else is.
func (a AI) configured(environment string) (names []string) {
	if a.OpenAIKey.IsSet() {
		names = append(names, "openai")
	}
	if a.AzureKey.IsSet() && a.AzureEndpoint != "" {
		names = append(names, "azureopenai")
	}
	if a.OllamaEndpoint != "" {
		names = append(names, "ollama")
	}
	if environment != Production {
		names = append(names, "builtin")
	}
	return names
}

func (c *Config) loadRest(p *parser) {
	production := c.Environment == Production
	c.LogLevel = p.level(c.Environment)
	c.MetricsEnabled = p.flag("METRICS_ENABLED", true)
	c.TracingEnabled = p.flag("TRACING_ENABLED", production)
	c.OTLPEndpoint = p.address("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	c.TraceRatio = p.ratio("OTEL_TRACES_SAMPLER_ARG", 0.01)
	c.Features = Features{
		AdvancedAI: p.flag("FEATURE_ADVANCED_AI", production), GroupSharing: p.flag("FEATURE_GROUP_SHARING", true),
		Export: p.flag("FEATURE_EXPORT", true), Beta: p.flag("FEATURE_BETA", !production),
	}
	c.WorkerConcurrency = p.number("WORKER_CONCURRENCY", 10, 1, 1000)
	c.Mail = Mail{Host: p.text("SMTP_HOST", ""), Port: p.number("SMTP_PORT", 587, 1, 65535), Username: p.text("SMTP_USERNAME", ""),
		From: p.text("SMTP_FROM", "englog@localhost"), Password: p.secret("SMTP_PASSWORD"),
		Encryption: p.oneOf("SMTP_ENCRYPTION", "starttls", "starttls", "tls", "disable")}
	c.TerminationLog = p.text("TERMINATION_LOG", "/dev/termination-log")
}

func (p *parser) level(environment string) slog.Level {
	fallback := map[string]string{Development: "debug", Staging: "info", Production: "warn"}[environment]
	var level slog.Level
	_ = level.UnmarshalText([]byte(p.oneOf("LOG_LEVEL", fallback, "debug", "info", "warn", "error")))
	return level
}

// require checks what the role cannot do without.
func (c *Config) require(p *parser) {
	switch c.Role {
	case RoleAPI, RoleDev:
		c.Database.require(p, false)
		c.Auth.JWTSecret.requireKey(p)
	case RoleWorker:
		c.Database.require(p, false)
		if c.Environment == Production && len(c.AI.Providers) == 0 {
			p.bad("AI_PROVIDERS", "no provider is configured: set OPENAI_API_KEY, AZURE_API_KEY with AZURE_ENDPOINT, OLLAMA_ENDPOINT, or AI_PROVIDERS=builtin")
		}
	case RoleMigrate:
		c.Database.require(p, true)
	case RoleFrontend:
		if c.APIURL == "" {
			p.bad("API_URL", "it is not set: set the address of the API, for example http://englog-api")
		}
		c.Auth.SessionKey.requireKey(p)
	}
}

// requireKey refuses a key that could be guessed (RFC 7518, section 3.2: at least
// as long as the hash).
func (s Secret) requireKey(p *parser) {
	value, err := s.Read()
	switch {
	case err != nil: // reported when it was read
	case value == "":
		p.bad(s.name, "it is not set or empty: set at least 32 random bytes, for example from openssl rand -base64 48")
	case len(value) < 32:
		p.bad(s.name, "it has %d bytes: set at least 32", len(value))
	}
}

// GOMAXPROCS is how many processors the process may use; the pool and the
// hashing semaphore follow it.
func GOMAXPROCS() int { return runtime.GOMAXPROCS(0) }

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
