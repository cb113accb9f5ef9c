package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// ExposureType says how users reach an instance.
// +enum
// +kubebuilder:validation:Enum=ClusterIP;Ingress;Gateway
type ExposureType string

const (
	// ExposureClusterIP makes Services only.
	ExposureClusterIP ExposureType = "ClusterIP"
	// ExposureIngress makes Ingresses too.
	ExposureIngress ExposureType = "Ingress"
	// ExposureGateway makes HTTPRoutes too.
	ExposureGateway ExposureType = "Gateway"
)

// ExposureSpec says how users reach the instance.
// +kubebuilder:validation:XValidation:rule="self.type == 'Ingress' || !has(self.ingress)",message="ingress: is only allowed while type is Ingress: remove it or set type to Ingress"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Gateway') == has(self.gateway)",message="gateway: is required while type is Gateway and only allowed then: give parentRefs, or change type"
// +kubebuilder:validation:XValidation:rule="self.type == 'ClusterIP' || has(self.hosts)",message="hosts: at least one is required while type is Ingress or Gateway: add the API's host name, such as api.example.org"
// +kubebuilder:validation:XValidation:rule="self.type != 'ClusterIP' || !(has(self.hosts) || has(self.frontendHosts) || has(self.previewHost) || has(self.tls))",message="type: ClusterIP has no use for hosts, frontendHosts, previewHost and tls: remove them or set type to Ingress or Gateway"
// +kubebuilder:validation:XValidation:rule="!(has(self.hosts) && has(self.frontendHosts)) || self.hosts.all(h, !(h in self.frontendHosts))",message="frontendHosts: must not hold a host that is in hosts too, because one host can go to one component: remove it from one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.previewHost) || !((has(self.hosts) && self.previewHost in self.hosts) || (has(self.frontendHosts) && self.previewHost in self.frontendHosts))",message="previewHost: must not be one of hosts or frontendHosts, or users would see a version that is not verified: choose another host"
// +kubebuilder:validation:XValidation:rule="!(self.type == 'Gateway' && has(self.tls) && self.tls.type != 'None')",message="tls: is the Gateway's own business while type is Gateway: configure the listener there and remove tls"
// +kubebuilder:validation:XValidation:rule="!(has(self.httpsRedirect) && self.httpsRedirect == 'Enabled') || (has(self.tls) && self.tls.type != 'None')",message="httpsRedirect: Enabled needs tls of type Secret or CertManager, or nothing would answer: configure tls or remove httpsRedirect"
// +kubebuilder:validation:XValidation:rule="!(self.type == 'Gateway' && has(self.rateLimit) && has(self.rateLimit.enforcement) && self.rateLimit.enforcement == 'ApplicationAndIngress')",message="rateLimit.enforcement: ApplicationAndIngress needs an Ingress, because the Gateway API has no rate limit: set it to Application"
type ExposureSpec struct {
	// type says how users reach the instance: ClusterIP (Services only), Ingress
	// or Gateway (HTTPRoutes on a Gateway that exists).
	// +required
	Type ExposureType `json:"type,omitempty"`

	// ingress says how the Ingress is made.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`

	// gateway says on which Gateway the routes are.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty"`

	// hosts are the names under which the API answers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Hosts []Hostname `json:"hosts,omitempty"`

	// frontendHosts are the names under which the frontend answers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	FrontendHosts []Hostname `json:"frontendHosts,omitempty"`

	// previewHost is a name under which the candidate answers while it is
	// verified. Default: none.
	// +optional
	PreviewHost Hostname `json:"previewHost,omitempty"`

	// tls says where the Ingress gets its certificate. Default: it has none.
	// +optional
	TLS *TLSSpec `json:"tls,omitempty"`

	// httpsRedirect says whether http is redirected to https: Enabled (default
	// as soon as there is tls) or Disabled.
	// +optional
	HTTPSRedirect Mode `json:"httpsRedirect,omitempty"`

	// rateLimit limits how often one user or one address may call.
	// +optional
	RateLimit *RateLimitSpec `json:"rateLimit,omitempty"`

	// ipFamilyPolicy is that of the Services: SingleStack, PreferDualStack or
	// RequireDualStack. Default: the cluster's.
	// +optional
	IPFamilyPolicy IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// ipFamilies are those of the Services: IPv4, IPv6 or both. Default: the cluster's.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	IPFamilies []IPFamily `json:"ipFamilies,omitempty"`
}

// IPFamilyPolicy is the dual-stack policy of a Service.
// +enum
// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
type IPFamilyPolicy corev1.IPFamilyPolicy

// IPFamily is a family of addresses.
// +enum
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily corev1.IPFamily

// Hostname is a full DNS name in lower case.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+$')",message="must be a full DNS name in lower case without scheme, port, path and wildcard: write it as api.example.org"
type Hostname string

// IngressSpec says how an Ingress is made.
type IngressSpec struct {
	// className is the IngressClass. Default: the cluster's default class. What
	// a cutover and a rate limit need differs between classes; nginx, traefik
	// and alb are known.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of an IngressClass: lower-case letters, digits, '-' and '.'"
	ClassName string `json:"className,omitempty"`

	// annotations are added to the Ingress. Annotations of the operator win;
	// configuration snippets are refused.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('snippet'))",message="must not hold configuration snippets, which run inside the shared ingress controller: use the annotation made for the purpose"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GatewaySpec says on which Gateway the routes are.
type GatewaySpec struct {
	// parentRefs are the Gateways.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	ParentRefs []GatewayParentRef `json:"parentRefs,omitempty"`
}

// GatewayParentRef names a Gateway.
type GatewayParentRef struct {
	// name is the name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Gateway: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// namespace is the namespace of the Gateway. Default: the instance's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace: lower-case letters, digits and '-'"
	Namespace string `json:"namespace,omitempty"`

	// sectionName is the name of a listener. Default: all listeners that fit.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// TLSType says where a certificate comes from.
// +enum
// +kubebuilder:validation:Enum=None;Secret;CertManager
type TLSType string

const (
	// TLSNone serves without TLS.
	TLSNone TLSType = "None"
	// TLSSecret takes the certificate from a Secret.
	TLSSecret TLSType = "Secret"
	// TLSCertManager has cert-manager make the certificate.
	TLSCertManager TLSType = "CertManager"
)

// TLSSpec says where a certificate comes from.
// +kubebuilder:validation:XValidation:rule="(self.type == 'Secret') == has(self.secret)",message="secret: is required while type is Secret and only allowed then: give the name of a TLS Secret, or change type"
// +kubebuilder:validation:XValidation:rule="(self.type == 'CertManager') == has(self.certManager)",message="certManager: is required while type is CertManager and only allowed then: give issuerRef, or change type"
type TLSSpec struct {
	// type says where the certificate comes from: None, Secret or CertManager.
	// +required
	Type TLSType `json:"type,omitempty"`

	// secret names a Secret of type kubernetes.io/tls.
	// +optional
	Secret *SecretName `json:"secret,omitempty"`

	// certManager has cert-manager make the certificate.
	// +optional
	CertManager *CertManagerTLS `json:"certManager,omitempty"`
}

// IssuerKind is a kind of issuer.
// +enum
// +kubebuilder:validation:Enum=Issuer;ClusterIssuer
type IssuerKind string

const (
	// IssuerKindIssuer is an issuer of the instance's namespace.
	IssuerKindIssuer IssuerKind = "Issuer"
	// IssuerKindClusterIssuer is an issuer of the cluster.
	IssuerKindClusterIssuer IssuerKind = "ClusterIssuer"
)

// CertManagerTLS has cert-manager make a certificate.
type CertManagerTLS struct {
	// issuerRef names the issuer.
	// +required
	IssuerRef IssuerRef `json:"issuerRef,omitzero"`

	// secretName is the Secret into which the certificate goes. Default:
	// <name of the instance>-tls.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	SecretName string `json:"secretName,omitempty"`
}

// IssuerRef names an issuer of cert-manager.
type IssuerRef struct {
	// name is the name of the issuer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// kind is Issuer or ClusterIssuer (default).
	// +optional
	Kind IssuerKind `json:"kind,omitempty"`
}

// RateLimitEnforcement says where a rate limit is enforced.
// +enum
// +kubebuilder:validation:Enum=Application;ApplicationAndIngress
type RateLimitEnforcement string

const (
	// RateLimitApplication enforces per user, per address before sign-in.
	RateLimitApplication RateLimitEnforcement = "Application"
	// RateLimitApplicationAndIngress enforces per address at the Ingress too.
	RateLimitApplicationAndIngress RateLimitEnforcement = "ApplicationAndIngress"
)

// RateLimitSpec limits how often one user or one address may call. It is one
// limit for the service and the Ingress.
type RateLimitSpec struct {
	// requestsPerSecond is the limit (RATE_LIMIT_RPS). Default: 100.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RequestsPerSecond int32 `json:"requestsPerSecond,omitempty"`

	// enforcement says where the limit is enforced: Application (per user, per
	// address before sign-in; the default) or ApplicationAndIngress (per address
	// at the Ingress too; only for the classes nginx and traefik).
	// +optional
	Enforcement RateLimitEnforcement `json:"enforcement,omitempty"`
}
