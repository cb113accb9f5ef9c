package v1alpha1

// SecretsType says who fills the instance's own Secret.
// +enum
// +kubebuilder:validation:Enum=Kubernetes;AWSSecretsManager
type SecretsType string

const (
	// SecretsKubernetes means that the user, or a tool of theirs, fills it.
	SecretsKubernetes SecretsType = "Kubernetes"
	// SecretsAWSSecretsManager means that the operator copies it from AWS.
	SecretsAWSSecretsManager SecretsType = "AWSSecretsManager"
)

// SecretGeneration says whether missing secrets are made up.
// +enum
// +kubebuilder:validation:Enum=IfMissing;Never
type SecretGeneration string

const (
	// SecretGenerationIfMissing makes up what is missing and may be random.
	SecretGenerationIfMissing SecretGeneration = "IfMissing"
	// SecretGenerationNever reports what is missing.
	SecretGenerationNever SecretGeneration = "Never"
)

// SecretRotation says what a changed secret does.
// +enum
// +kubebuilder:validation:Enum=Rollout;Ignore
type SecretRotation string

const (
	// SecretRotationRollout starts a rollout.
	SecretRotationRollout SecretRotation = "Rollout"
	// SecretRotationIgnore starts nothing.
	SecretRotationIgnore SecretRotation = "Ignore"
)

// SecretsSpec says who fills the instance's own Secret, and what a change of a
// secret does.
// +kubebuilder:validation:XValidation:rule="self.type == 'Kubernetes' || !has(self.kubernetes)",message="kubernetes: is only allowed while type is Kubernetes: remove it or set type to Kubernetes"
// +kubebuilder:validation:XValidation:rule="self.type == 'AWSSecretsManager' || !has(self.awsSecretsManager)",message="awsSecretsManager: is only allowed while type is AWSSecretsManager: remove it or set type to AWSSecretsManager"
type SecretsSpec struct {
	// type says who fills the Secret: Kubernetes (you, or a tool such as
	// External Secrets) or AWSSecretsManager (the operator copies it).
	// +required
	Type SecretsType `json:"type,omitempty"`

	// kubernetes names a Secret that you fill.
	// +optional
	Kubernetes *KubernetesSecrets `json:"kubernetes,omitempty"`

	// awsSecretsManager says what to copy from AWS Secrets Manager.
	// +optional
	AWSSecretsManager *AWSSecretsManager `json:"awsSecretsManager,omitempty"`

	// generate says whether signing keys and session keys that are missing are
	// made up: IfMissing (default outside Production) or Never (default in
	// Production). What is made up is kept in a Secret of the instance.
	// +optional
	Generate SecretGeneration `json:"generate,omitempty"`

	// rotation says what a changed value of a Secret key does that the spec
	// refers to, in whichever Secret: Rollout (default: it makes a new revision,
	// which is verified like any other) or Ignore (running pods take it up by
	// themselves, and the next revision as it is then). Changing this field
	// starts no rollout unless a value has changed meanwhile.
	// +optional
	Rotation SecretRotation `json:"rotation,omitempty"`
}

// KubernetesSecrets names a Secret that the user fills.
type KubernetesSecrets struct {
	// name is the name of the Secret. Default: <name of the instance>-secrets.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`
}

// AWSIdentity says who asks AWS.
// +enum
// +kubebuilder:validation:Enum=ServiceAccount;Operator
type AWSIdentity string

const (
	// AWSIdentityServiceAccount asks as the API's ServiceAccount.
	AWSIdentityServiceAccount AWSIdentity = "ServiceAccount"
	// AWSIdentityOperator asks as the operator, within the prefix that the
	// operator's flags tie to the namespace.
	AWSIdentityOperator AWSIdentity = "Operator"
)

// AWSSecretsManager says what to copy from AWS Secrets Manager. The secret is
// a JSON object whose keys are the names of secret variables, such as
// JWT_SECRET; other keys are not taken.
type AWSSecretsManager struct {
	// secretID is the name or ARN of the secret. Default: englog/<environment>/app.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9/_+=.@:-]+$')",message="must be the name or ARN of a secret: letters, digits and /_+=.@:-"
	SecretID string `json:"secretID,omitempty"`

	// region is the AWS region. Default: us-west-2.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2}(-[a-z]+)+-[0-9]$')",message="must be an AWS region: write it as us-west-2"
	Region string `json:"region,omitempty"`

	// refreshIntervalSeconds is how often the secret is read again. Default: 3600.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=604800
	RefreshIntervalSeconds int32 `json:"refreshIntervalSeconds,omitempty"`

	// identity says who asks AWS: ServiceAccount (default; the role bound to the
	// API's ServiceAccount) or Operator (the operator's own role, within the
	// prefix that its flags tie to the namespace).
	// +optional
	Identity AWSIdentity `json:"identity,omitempty"`
}

// Registration says who may make an account.
// +enum
// +kubebuilder:validation:Enum=Open;Invite;Closed
type Registration string

const (
	// RegistrationOpen lets anyone make an account.
	RegistrationOpen Registration = "Open"
	// RegistrationInvite lets those make an account who have an invitation.
	RegistrationInvite Registration = "Invite"
	// RegistrationClosed lets nobody make an account.
	RegistrationClosed Registration = "Closed"
)

// AuthSpec sets how users sign in.
// +kubebuilder:validation:XValidation:rule="!(has(self.accessTokenSeconds) && has(self.refreshTokenSeconds)) || self.accessTokenSeconds < self.refreshTokenSeconds",message="accessTokenSeconds: must be less than refreshTokenSeconds, or refreshing has no use: lower it or raise refreshTokenSeconds"
type AuthSpec struct {
	// secretRef names the Secret with the signing keys and the session key.
	// Default: the instance's own Secret.
	// +optional
	SecretRef *AuthSecretRef `json:"secretRef,omitempty"`

	// accessTokenSeconds is the life of an access token. Default: 900.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=86400
	AccessTokenSeconds int32 `json:"accessTokenSeconds,omitempty"`

	// refreshTokenSeconds is the life of a refresh token. Default: 604800, which
	// is seven days.
	// +optional
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=31536000
	RefreshTokenSeconds int32 `json:"refreshTokenSeconds,omitempty"`

	// sessionTimeoutSeconds ends a session that was not used for so long
	// (SESSION_TIMEOUT). Default: 86400, which is one day.
	// +optional
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=7776000
	SessionTimeoutSeconds int32 `json:"sessionTimeoutSeconds,omitempty"`

	// registration says who may make an account: Open (default: anyone), Invite
	// (who has an invitation; the first one is in the Secret) or Closed (nobody).
	// +optional
	Registration Registration `json:"registration,omitempty"`

	// passwordSaltRounds makes new passwords bcrypt hashes of this cost
	// (PASSWORD_SALT_ROUNDS). Without it they are argon2id hashes, which cost
	// the attacker more and the server less.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=16
	PasswordSaltRounds int32 `json:"passwordSaltRounds,omitempty"`
}

// AuthSecretRef names a Secret with signing keys.
type AuthSecretRef struct {
	// name is the name of the Secret, in the instance's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// keys names the keys in the Secret, where they differ from the defaults.
	// +optional
	Keys *AuthSecretKeys `json:"keys,omitempty"`
}

// AuthSecretKeys names the keys of the Secret with signing keys.
type AuthSecretKeys struct {
	// current is the key of the secret that signs tokens, at least 32 bytes.
	// Default: JWT_SECRET.
	// +optional
	Current SecretKey `json:"current,omitempty"`

	// previous is the key of the secret that signed before and still verifies;
	// it may be absent. Default: JWT_SECRET_PREVIOUS.
	// +optional
	Previous SecretKey `json:"previous,omitempty"`

	// next is the key of the secret that will sign next and verifies already;
	// it may be absent. Default: JWT_SECRET_NEXT.
	// +optional
	Next SecretKey `json:"next,omitempty"`

	// session is the key of the secret that seals the frontend's cookie, at
	// least 32 bytes. Default: SESSION_KEY.
	// +optional
	Session SecretKey `json:"session,omitempty"`

	// bootstrapInvite is the key of the invitation for the first account where
	// registration is Invite; it may be absent. Default: BOOTSTRAP_INVITE.
	// +optional
	BootstrapInvite SecretKey `json:"bootstrapInvite,omitempty"`
}
