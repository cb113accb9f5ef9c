package v1alpha1

// AIProviderType is a kind of provider.
// +enum
// +kubebuilder:validation:Enum=OpenAI;AzureOpenAI;Ollama;Builtin
type AIProviderType string

const (
	// AIProviderOpenAI is OpenAI, or a service with the same API.
	AIProviderOpenAI AIProviderType = "OpenAI"
	// AIProviderAzureOpenAI is Azure OpenAI.
	AIProviderAzureOpenAI AIProviderType = "AzureOpenAI"
	// AIProviderOllama is an Ollama server.
	AIProviderOllama AIProviderType = "Ollama"
	// AIProviderBuiltin is deterministic and needs no network.
	AIProviderBuiltin AIProviderType = "Builtin"
)

// AISpec lists the providers that make insights.
// +kubebuilder:validation:XValidation:rule="!has(self.providers) || self.providers.all(p, self.providers.exists_one(q, q.type == p.type))",message="providers: must not hold two providers of one type, because each type has one key and one endpoint: remove one of them"
// +kubebuilder:validation:XValidation:rule="!(has(self.timeoutSeconds) && has(self.providers)) || self.providers.all(p, !has(p.timeoutSeconds) || p.timeoutSeconds <= self.timeoutSeconds)",message="providers: a provider's timeoutSeconds must not be more than ai.timeoutSeconds, which limits the whole call: lower it or raise ai.timeoutSeconds"
type AISpec struct {
	// providers are asked in this order; the next one is asked when one fails.
	// Default outside Production: Builtin alone. Without providers an instance
	// in Production makes no insights, and a condition says so.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Providers []AIProvider `json:"providers,omitempty"`

	// timeoutSeconds limits one call with all its attempts (AI_TIMEOUT). It must
	// be less than config.writeTimeoutSeconds. Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// requestsPerUserPerDay is how often one user may ask for insights in a day
	// (AI_DAILY_REQUESTS). 0 means never. Default: 500.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerUserPerDay *int32 `json:"requestsPerUserPerDay,omitempty"`
}

// AIProvider is one provider.
// +kubebuilder:validation:XValidation:rule="self.type == 'OpenAI' || !has(self.openAI)",message="openAI: is only allowed while type is OpenAI: remove it or set type to OpenAI"
// +kubebuilder:validation:XValidation:rule="(self.type == 'AzureOpenAI') == has(self.azureOpenAI)",message="azureOpenAI: is required while type is AzureOpenAI and only allowed then: give endpoint, deployment and apiVersion, or change type"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Ollama') == has(self.ollama)",message="ollama: is required while type is Ollama and only allowed then: give endpoint, or change type"
type AIProvider struct {
	// name is the provider's name in metrics and insights.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must consist of lower-case letters, digits and '-' and begin with a letter: write it as openai"
	Name string `json:"name,omitempty"`

	// type is the kind of provider: OpenAI, AzureOpenAI, Ollama or Builtin
	// (deterministic, without network, not for production).
	// +required
	Type AIProviderType `json:"type,omitempty"`

	// openAI describes OpenAI, or a service with the same API.
	// +optional
	OpenAI *OpenAIProvider `json:"openAI,omitempty"`

	// azureOpenAI describes an Azure OpenAI deployment.
	// +optional
	AzureOpenAI *AzureOpenAIProvider `json:"azureOpenAI,omitempty"`

	// ollama describes an Ollama server.
	// +optional
	Ollama *OllamaProvider `json:"ollama,omitempty"`

	// timeoutSeconds limits one attempt with this provider. Default: ai.timeoutSeconds.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// budget limits what is spent on this provider. Default: no limit.
	// +optional
	Budget *AIBudget `json:"budget,omitempty"`
}

// AIBudget limits what is spent on a provider. When it is used up, the next
// provider is asked.
type AIBudget struct {
	// requestsPerDay is the greatest number of requests in a day (UTC).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	RequestsPerDay int32 `json:"requestsPerDay,omitempty"`

	// tokensPerDay is the greatest number of tokens in a day (UTC), asked and answered.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000000
	TokensPerDay int64 `json:"tokensPerDay,omitempty"`
}

// OpenAIProvider describes OpenAI, or a service with the same API.
type OpenAIProvider struct {
	// baseURL is the address of the API. Default: OpenAI's.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$')",message="must be an http or https URL without user, query and fragment: write it as https://api.example.org/v1"
	BaseURL string `json:"baseURL,omitempty"`

	// model is the model to ask. Default: the service's own choice.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Model string `json:"model,omitempty"`

	// apiKeySecretRef names the key of a Secret that holds the API key. Default:
	// OPENAI_API_KEY of the instance's own Secret.
	// +optional
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`
}

// AzureOpenAIProvider describes an Azure OpenAI deployment.
type AzureOpenAIProvider struct {
	// endpoint is the address of the resource.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$')",message="must be an http or https URL without user, query and fragment: write it as https://example.openai.azure.com"
	Endpoint string `json:"endpoint,omitempty"`

	// deployment is the name of the deployment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Deployment string `json:"deployment,omitempty"`

	// apiVersion is the version of the API.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$')",message="must be a version of the Azure OpenAI API: write it as 2024-10-21"
	APIVersion string `json:"apiVersion,omitempty"`

	// apiKeySecretRef names the key of a Secret that holds the API key. Default:
	// AZURE_API_KEY of the instance's own Secret.
	// +optional
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`
}

// OllamaProvider describes an Ollama server.
type OllamaProvider struct {
	// endpoint is the address of the server, as a pod reaches it
	// (OLLAMA_ENDPOINT). localhost is refused: in a pod it is the pod itself.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$')",message="must be an http or https URL without user, query and fragment: write it as http://ollama.ai.svc:11434"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?(/.*)?$')",message="must not be localhost, which is the pod itself: name the Service of the server, such as http://ollama.ai.svc:11434"
	Endpoint string `json:"endpoint,omitempty"`

	// model is the model to ask. Default: the service's own choice.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Model string `json:"model,omitempty"`
}
