package operator

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// production is the deployment document's set-up, at the tests' pace.
func production(i *v1alpha1.EngLogInstance) {
	i.Spec.Environment, i.Spec.API = v1alpha1.EnvironmentProduction, nil
	i.Spec.Database.External = &v1alpha1.ExternalDatabase{Host: "postgres-service"}
	i.Spec.AI = &v1alpha1.AISpec{Providers: []v1alpha1.AIProvider{
		{Name: "openai", Type: v1alpha1.AIProviderOpenAI},
		{Name: "azure", Type: v1alpha1.AIProviderAzureOpenAI, AzureOpenAI: &v1alpha1.AzureOpenAIProvider{
			Endpoint: "https://example.openai.azure.com", Deployment: "gpt", APIVersion: "2024-10-21",
		}},
		{Name: "ollama", Type: v1alpha1.AIProviderOllama, Ollama: &v1alpha1.OllamaProvider{Endpoint: "http://ollama:11434", Model: "llama3"}},
	}}
}

// installProduction is a production instance that serves, and the settings and mounted credentials of each component's pods.
func installProduction(t *testing.T) (*v1alpha1.EngLogInstance, map[string]string, map[string]map[string]bool) {
	t.Helper()
	instance := draft(t, production)
	migrated(t, instance.Namespace)
	secret := secretFor(instance)
	delete(secret.StringData, "DATABASE_URL") // the document gives the database in parts
	for _, key := range []string{"DB_PASSWORD", "OPENAI_API_KEY", "AZURE_API_KEY"} {
		secret.StringData[key] = "0123456789abcdef"
	}
	cluster.Create(t, secret, instance)
	awaitCondition(t, instance, v1alpha1.ConditionReady, "True", "")
	config := fetch(t, &corev1.ConfigMap{}, instance.Namespace, "demo-config-"+instance.Status.Active.Revision)
	mounted := map[string]map[string]bool{}
	for _, component := range []string{"api", "worker", "frontend"} {
		d := fetch(t, &appsv1.Deployment{}, instance.Namespace, "demo-"+component+"-blue")
		mounted[component] = credentialsOf(d.Spec.Template.Spec)
	}
	return instance, config.Data, mounted
}

// credentialsOf are the variables for which a pod gets a file.
func credentialsOf(pod corev1.PodSpec) map[string]bool {
	names := map[string]bool{}
	for _, c := range pod.Containers {
		for _, v := range c.Env {
			names[v.Name] = true
		}
	}
	return names
}

func TestProductionSettings(t *testing.T) {
	t.Parallel()
	covers(t, "B1", "B4", "B5", "E12", "X03", "X16", "X89")
	instance, config, mounted := installProduction(t)
	for name, want := range map[string]map[string]string{
		"I1 E8":      {"ENVIRONMENT": "production"},
		"I2 X02":     {"PORT": "8080"},
		"I3":         {"READ_TIMEOUT": "30s"},
		"I4 X12":     {"WRITE_TIMEOUT": "35s", "AI_TIMEOUT": "30s"},
		"I7":         {"DB_TIMEOUT": "10s"},
		"I9":         {"REDIS_MAX_RETRIES": "3"},
		"I12":        {"SESSION_TIMEOUT": "86400s"},
		"I13 X13":    {"RATE_LIMIT_RPS": "100"},
		"I16 X08":    {"OLLAMA_ENDPOINT": "http://ollama:11434"},
		"I17":        {"AI_TIMEOUT": "30s"},
		"I18":        {"METRICS_ENABLED": "true"},
		"I19 X17":    {"TRACING_ENABLED": "false"}, // until there is an endpoint to send traces to
		"I20 X10":    {"LOG_LEVEL": "warn"},
		"I21 X19":    {"FEATURE_ADVANCED_AI": "true"},
		"I22 X19":    {"FEATURE_GROUP_SHARING": "true"},
		"I23 X19":    {"FEATURE_EXPORT": "true"},
		"I24 X09":    {"FEATURE_BETA": "false"},
		"X06":        {"AI_PROVIDERS": "openai,azureopenai,ollama"},
		"X07":        {"AZURE_ENDPOINT": "https://example.openai.azure.com", "AZURE_DEPLOYMENT": "gpt", "AZURE_API_VERSION": "2024-10-21"},
		"I26 X01":    {"DB_HOST": "postgres-service", "DB_PORT": "5432", "DB_NAME": "englog", "DB_USER": "englog", "APP_VERSION": "1.0.0"},
		"I26 values": {"WORKER_CONCURRENCY": "10", "MAX_CONTENT_SIZE": "50000"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range want {
				if config[variable] != value {
					t.Errorf("%s is %q, not %q", variable, config[variable], value)
				}
			}
		})
	}
	t.Run("I11 set only by those who set it", func(t *testing.T) {
		if rounds, set := config["PASSWORD_SALT_ROUNDS"]; set {
			t.Errorf("PASSWORD_SALT_ROUNDS is %s", rounds)
		}
	})
	for name, want := range map[string]struct {
		variable   string
		components []string
	}{
		"I5 X01":  {"DB_PASSWORD_FILE", []string{"api", "worker"}},
		"I8 X89":  {"REDIS_URL_FILE", []string{"api", "worker"}},
		"I10 X04": {"JWT_SECRET_FILE", []string{"api"}},
		"I14 X05": {"OPENAI_API_KEY_FILE", []string{"worker"}},
		"I15 X05": {"AZURE_API_KEY_FILE", []string{"worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			var has []string
			for _, component := range slices.Sorted(maps.Keys(mounted)) {
				if mounted[component][want.variable] {
					has = append(has, component)
				}
			}
			if !slices.Equal(has, want.components) {
				t.Errorf("%s goes to %v, not to %v", want.variable, has, want.components)
			}
		})
	}
	t.Run("I25 shown in status", func(t *testing.T) {
		shown := map[string]string{}
		for _, e := range instance.Status.Effective {
			shown[e.Name] = e.Value
		}
		for name, value := range config {
			if name != "ENGLOG_REVISION" && shown[name] != value {
				t.Errorf("status shows %s=%q where pods get %q", name, shown[name], value)
			}
		}
	})
	t.Run("F2 F7 E13", func(t *testing.T) {
		h := fetch(t, scaler(instance.Namespace, "demo-api-blue"), instance.Namespace, "demo-api-blue")
		if *h.Spec.MinReplicas != 3 || h.Spec.MaxReplicas != 20 {
			t.Errorf("the API runs %d to %d pods", *h.Spec.MinReplicas, h.Spec.MaxReplicas)
		}
		d := fetch(t, &appsv1.Deployment{}, instance.Namespace, "demo-worker-blue")
		cluster.AwaitGone(t, scaler(instance.Namespace, "demo-worker-blue"))
		if *d.Spec.Replicas != 2 {
			t.Errorf("%d workers run", *d.Spec.Replicas)
		}
	})
	t.Run("K12 E18 E19 X21 X22 X25", func(t *testing.T) {
		for _, component := range []string{"api", "worker", "frontend"} {
			c := fetch(t, &appsv1.Deployment{}, instance.Namespace, "demo-"+component+"-blue").Spec.Template.Spec.Containers[0]
			if c.LivenessProbe.HTTPGet.Path != "/livez" || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.StartupProbe == nil {
				t.Errorf("the probes of %s are %v and %v", component, c.LivenessProbe, c.ReadinessProbe)
			}
		}
	})
}

func TestStagingSettings(t *testing.T) {
	t.Parallel()
	covers(t, "B3", "X63", "X64")
	instance := install(t)
	config := fetch(t, &corev1.ConfigMap{}, instance.Namespace, "demo-config-"+instance.Status.Active.Revision).Data
	for variable, want := range map[string]string{
		"ENVIRONMENT": "staging", "LOG_LEVEL": "info", "FEATURE_BETA": "true", "FEATURE_ADVANCED_AI": "false", "AI_PROVIDERS": "builtin",
	} {
		if config[variable] != want {
			t.Errorf("%s is %q, not %q", variable, config[variable], want)
		}
	}
}
