package v1alpha1

import (
	"strings"
)

func (in *AuthSpec) setDefaults() {
	fill(&in.AccessTokenSeconds, 900)
	fill(&in.RefreshTokenSeconds, max(7*24*3600, in.AccessTokenSeconds+1))
	fill(&in.SessionTimeoutSeconds, 24*3600)
	fill(&in.Registration, RegistrationOpen)
	keys := ensure(&ensure(&in.SecretRef).Keys)
	fill(&keys.Current, "JWT_SECRET")
	fill(&keys.Previous, "JWT_SECRET_PREVIOUS")
	fill(&keys.Next, "JWT_SECRET_NEXT")
	fill(&keys.Session, "SESSION_KEY")
	fill(&keys.BootstrapInvite, "BOOTSTRAP_INVITE")
}

// setTimeouts keeps a provider's time below that for writing an answer, whichever of the two the user has set.
func (in *EngLogInstanceSpec) setTimeouts() {
	ai, config := ensure(&in.AI), ensure(&in.Config)
	if ai.TimeoutSeconds == 0 {
		ai.TimeoutSeconds = 30
		if write := config.WriteTimeoutSeconds; write > 0 && write <= 30 {
			ai.TimeoutSeconds = max(1, write-5)
		}
	}
	fill(&config.WriteTimeoutSeconds, ai.TimeoutSeconds+5)
}

func (in *AISpec) setDefaults(environment Environment) {
	if len(in.Providers) == 0 && environment != EnvironmentProduction {
		in.Providers = []AIProvider{{Name: "builtin", Type: AIProviderBuiltin}}
	}
	if in.RequestsPerUserPerDay == nil {
		in.RequestsPerUserPerDay = new(int32(500))
	}
	for i := range in.Providers {
		in.Providers[i].setDefaults(in.TimeoutSeconds)
	}
}

func (in *AIProvider) setDefaults(timeout int32) {
	fill(&in.TimeoutSeconds, timeout)
	switch in.Type {
	case AIProviderOpenAI:
		fill(&ensure(&ensure(&in.OpenAI).APIKeySecretRef).Key, "OPENAI_API_KEY")
	case AIProviderAzureOpenAI:
		fill(&ensure(&ensure(&in.AzureOpenAI).APIKeySecretRef).Key, "AZURE_API_KEY")
	case AIProviderOllama, AIProviderBuiltin:
	}
}

func (in *SecretsSpec) setDefaults(environment Environment) {
	fill(&in.Type, SecretsKubernetes)
	fill(&in.Generate, choose(environment, SecretGenerationNever, SecretGenerationIfMissing))
	fill(&in.Rotation, SecretRotationRollout)
	if in.Type == SecretsKubernetes {
		ensure(&in.Kubernetes)
		return
	}
	aws := ensure(&in.AWSSecretsManager)
	fill(&aws.SecretID, "englog/"+strings.ToLower(string(environment))+"/app")
	fill(&aws.Region, "us-west-2")
	fill(&aws.RefreshIntervalSeconds, 3600)
	fill(&aws.Identity, AWSIdentityServiceAccount)
}

func (in *FeaturesSpec) setDefaults(environment Environment) {
	fill(&in.AdvancedAI, choose(environment, ModeEnabled, ModeDisabled))
	fill(&in.GroupSharing, ModeEnabled)
	fill(&in.Export, ModeEnabled)
	fill(&in.Beta, choose(environment, ModeDisabled, ModeEnabled))
}

func (in *ConfigSpec) setDefaults(environment Environment) {
	fill(&in.LogLevel, byEnvironment(environment, LogDebug, LogInfo, LogWarn))
	fill(&in.Port, 8080)
	fill(&in.ReadTimeoutSeconds, 30)
	fill(&in.MaxContentBytes, 50000)
	fill(&in.DrainDelaySeconds, 5)
	if in.CABundle != nil {
		fill(&in.CABundle.Key, "ca.crt")
	}
}

func (in *MailSpec) setDefaults() {
	fill(&in.Type, MailDisabled)
	if in.SMTP == nil {
		return
	}
	fill(&in.SMTP.Port, 587)
	fill(&in.SMTP.Encryption, SMTPStartTLS)
	if in.SMTP.User != "" {
		fill(&ensure(&in.SMTP.PasswordSecretRef).Key, "SMTP_PASSWORD")
	}
}

func (in *TracingSpec) setDefaults(environment Environment) {
	mode := ModeDisabled
	if in.Endpoint != "" {
		mode = ModeEnabled
	}
	fill(&in.Mode, mode)
	if in.SamplingPercentage == nil {
		in.SamplingPercentage = new(choose[int32](environment, 10, 100))
	}
}

func (in *ExposureSpec) setDefaults() {
	fill(&in.Type, ExposureClusterIP)
	if in.Type == ExposureIngress {
		ensure(&in.Ingress)
	}
	tls := ensure(&in.TLS)
	fill(&tls.Type, TLSNone)
	if tls.CertManager != nil {
		fill(&tls.CertManager.IssuerRef.Kind, IssuerKindClusterIssuer)
	}
	redirect := ModeDisabled
	if tls.Type != TLSNone {
		redirect = ModeEnabled
	}
	fill(&in.HTTPSRedirect, redirect)
	fill(&ensure(&in.RateLimit).RequestsPerSecond, 100)
	fill(&in.RateLimit.Enforcement, RateLimitApplication)
}

func (in *RolloutSpec) setDefaults() {
	promotion := ensure(&in.Promotion)
	fill(&promotion.Mode, PromotionAutomatic)
	if promotion.DelaySeconds == nil {
		promotion.DelaySeconds = new(int32)
	}
	for i := range in.Checks {
		in.Checks[i].setDefaults()
	}
	fill(&ensure(&in.Traffic).Switch, TrafficSwitchAuto)
	if in.Traffic.PropagationSeconds == nil {
		in.Traffic.PropagationSeconds = new(int32(5))
	}
	fill(&ensure(&in.Workers).Overlap, WorkerOverlapAllowed)
	ensure(&in.Migration).setDefaults()
	fill(&in.ProgressDeadlineSeconds, 600)
	if in.ConfirmSeconds == nil {
		in.ConfirmSeconds = new(int32(30))
	}
	fill(&in.RetentionSeconds, max(600, *in.Traffic.PropagationSeconds+30))
	fill(&in.OnFailure, OnFailureRollBack)
	fill(&in.RevisionHistoryLimit, 5)
}

func (in *CheckSpec) setDefaults() {
	repeat, timeout := int32(3), int32(5)
	if in.Type == CheckJob {
		repeat, timeout = 1, 300
	}
	fill(&in.Successes, repeat)
	fill(&in.Failures, repeat)
	fill(&in.IntervalSeconds, 5)
	if in.Type != CheckJob {
		timeout = min(timeout, in.IntervalSeconds)
	}
	fill(&in.TimeoutSeconds, timeout)
	if in.InitialDelaySeconds == nil {
		in.InitialDelaySeconds = new(int32)
	}
	if in.HTTP == nil {
		return
	}
	target := CheckTargetCandidate
	if in.Stage == CheckPostPromotion {
		target = CheckTargetLive
	}
	fill(&in.HTTP.Target, target)
	fill(&in.HTTP.Component, CheckComponentAPI)
	fill(&in.HTTP.ExpectedStatus, 200)
}

func (in *MigrationSpec) setDefaults() {
	fill(&in.Policy, MigrationAutomatic)
	fill(&in.TimeoutSeconds, 900)
	if in.BackoffLimit == nil {
		in.BackoffLimit = new(int32(2))
	}
	fill(&in.Destructive, DestructiveNever)
}

func (in *MonitoringSpec) setDefaults() {
	fill(&in.Mode, MonitoringAuto)
	fill(&in.Metrics, ModeEnabled)
	fill(&in.IntervalSeconds, 30)
	fill(&in.Alerts, ModeEnabled)
}
