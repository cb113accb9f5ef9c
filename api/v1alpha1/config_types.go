package v1alpha1

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// LogLevel is the least severe level that is logged.
// +enum
// +kubebuilder:validation:Enum=Debug;Info;Warn;Error
type LogLevel string

const (
	// LogDebug logs everything.
	LogDebug LogLevel = "Debug"
	// LogInfo logs what happens.
	LogInfo LogLevel = "Info"
	// LogWarn logs what is odd.
	LogWarn LogLevel = "Warn"
	// LogError logs what fails.
	LogError LogLevel = "Error"
)

// ConfigSpec holds the settings of the service that belong to no other group.
// +kubebuilder:validation:XValidation:rule="!has(self.port) || self.port != 8081",message="port: must not be 8081, which is the admin port: choose another port, such as 8080"
type ConfigSpec struct {
	// logLevel is the least severe level that is logged (LOG_LEVEL). Default:
	// Debug in Development, Info in Staging, Warn in Production.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// port is the port on which API and frontend listen in their pods (PORT).
	// Services answer on 80 whatever it is. Default: 8080.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// readTimeoutSeconds limits reading a request (READ_TIMEOUT). Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	ReadTimeoutSeconds int32 `json:"readTimeoutSeconds,omitempty"`

	// writeTimeoutSeconds limits writing an answer (WRITE_TIMEOUT). It must be
	// more than ai.timeoutSeconds. Default: 5 more than ai.timeoutSeconds.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=900
	WriteTimeoutSeconds int32 `json:"writeTimeoutSeconds,omitempty"`

	// maxContentBytes is the greatest size of an entry's text (MAX_CONTENT_SIZE).
	// Default: 50000.
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=1048576
	MaxContentBytes int32 `json:"maxContentBytes,omitempty"`

	// drainDelaySeconds is how long a stopping pod goes on serving, so that
	// routes can forget it (DRAIN_DELAY). Default: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	DrainDelaySeconds int32 `json:"drainDelaySeconds,omitempty"`

	// trustedProxies are the networks whose X-Forwarded-For is believed. The
	// instance's own frontend always is.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="must be networks in CIDR form: write them as 10.0.0.0/8"
	TrustedProxies []string `json:"trustedProxies,omitempty"`

	// caBundle names the key of a ConfigMap with certificates that the pods
	// believe beside those of the image.
	// +optional
	CABundle *ConfigMapKeyRef `json:"caBundle,omitempty"`

	// proxy is the HTTP proxy for calls that leave the cluster.
	// +optional
	Proxy *ProxySpec `json:"proxy,omitempty"`
}

// ConfigMapKeyRef names one key of a ConfigMap in the instance's namespace.
type ConfigMapKeyRef struct {
	// name is the name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a ConfigMap in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// key is the key in the ConfigMap. Default: ca.crt.
	// +optional
	Key SecretKey `json:"key,omitempty"`
}

// ProxySpec is the HTTP proxy for calls that leave the cluster.
type ProxySpec struct {
	// httpProxy is the proxy for http addresses (HTTP_PROXY).
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+/?$')",message="must be an http or https URL without user, path and query, because anyone who may read the instance would see a password: write it as http://proxy.example.org:3128"
	HTTPProxy string `json:"httpProxy,omitempty"`

	// httpsProxy is the proxy for https addresses (HTTPS_PROXY).
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+/?$')",message="must be an http or https URL without user, path and query, because anyone who may read the instance would see a password: write it as http://proxy.example.org:3128"
	HTTPSProxy string `json:"httpsProxy,omitempty"`

	// noProxy lists hosts, domains and networks that are called directly
	// (NO_PROXY). The cluster's own names are always called directly.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	NoProxy []string `json:"noProxy,omitempty"`
}

// FeaturesSpec switches parts of the service on and off. What is off answers 404.
type FeaturesSpec struct {
	// advancedAI allows the costlier kinds of insight (FEATURE_ADVANCED_AI).
	// Default: Enabled in Production only.
	// +optional
	AdvancedAI Mode `json:"advancedAI,omitempty"`

	// groupSharing lets users share entries with groups (FEATURE_GROUP_SHARING).
	// Default: Enabled.
	// +optional
	GroupSharing Mode `json:"groupSharing,omitempty"`

	// export lets users download their data (FEATURE_EXPORT). Default: Enabled.
	// +optional
	Export Mode `json:"export,omitempty"`

	// beta shows what is not finished (FEATURE_BETA). Default: Enabled except in
	// Production.
	// +optional
	Beta Mode `json:"beta,omitempty"`
}

// MailType says how mail is sent.
// +enum
// +kubebuilder:validation:Enum=Disabled;SMTP
type MailType string

const (
	// MailDisabled sends no mail.
	MailDisabled MailType = "Disabled"
	// MailSMTP sends mail by an SMTP server.
	MailSMTP MailType = "SMTP"
)

// MailSpec says how the service sends mail.
// +kubebuilder:validation:XValidation:rule="(self.type == 'SMTP') == has(self.smtp)",message="smtp: is required while type is SMTP and only allowed then: give host and from, or set type to Disabled"
type MailSpec struct {
	// type says how mail is sent: Disabled or SMTP.
	// +required
	Type MailType `json:"type,omitempty"`

	// smtp describes the SMTP server.
	// +optional
	SMTP *SMTPSpec `json:"smtp,omitempty"`
}

// SMTPEncryption is how a connection to an SMTP server is protected.
// +enum
// +kubebuilder:validation:Enum=StartTLS;TLS;Disable
type SMTPEncryption string

const (
	// SMTPStartTLS begins in the clear and insists on STARTTLS.
	SMTPStartTLS SMTPEncryption = "StartTLS"
	// SMTPTLS uses TLS from the first byte.
	SMTPTLS SMTPEncryption = "TLS"
	// SMTPDisable uses no TLS.
	SMTPDisable SMTPEncryption = "Disable"
)

// SMTPSpec describes an SMTP server.
// +kubebuilder:validation:XValidation:rule="!has(self.passwordSecretRef) || has(self.user)",message="passwordSecretRef: has no use without user: set user or remove passwordSecretRef"
type SMTPSpec struct {
	// host is the server's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$') || isIP(self)",message="must be a host name or an address without scheme and port: write it as smtp.example.org"
	Host string `json:"host,omitempty"`

	// port is the server's port. Default: 587.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// from is the sender's address.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^@ <>]+@[^@ <>]+$')",message="must be a mail address: write it as journal@example.org"
	From string `json:"from,omitempty"`

	// user is the name to sign in with. Default: no sign-in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=254
	User string `json:"user,omitempty"`

	// passwordSecretRef names the key of a Secret that holds the password.
	// Default: SMTP_PASSWORD of the instance's own Secret.
	// +optional
	PasswordSecretRef *SecretKeyRef `json:"passwordSecretRef,omitempty"`

	// encryption is StartTLS (default), TLS or Disable.
	// +optional
	Encryption SMTPEncryption `json:"encryption,omitempty"`
}

// TracingSpec says where the service sends traces.
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Enabled') || has(self.endpoint)",message="endpoint: is required while mode is Enabled, or traces go nowhere: give the OTLP endpoint of a collector, such as http://otel-collector.monitoring.svc:4318"
type TracingSpec struct {
	// mode says whether traces are sent (TRACING_ENABLED): Enabled (default as
	// soon as there is an endpoint) or Disabled.
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// endpoint is the OTLP over HTTP address of a collector.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+(/[^?# ]*)?$')",message="must be an http or https URL without user, query and fragment: write it as http://otel-collector.monitoring.svc:4318"
	Endpoint string `json:"endpoint,omitempty"`

	// samplingPercentage is how many of a hundred requests are traced. Default: 10
	// in Production, else 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SamplingPercentage *int32 `json:"samplingPercentage,omitempty"`
}

// NetworkPolicyMode says which network traffic is allowed.
// +enum
// +kubebuilder:validation:Enum=Default;Strict;Disabled
type NetworkPolicyMode string

const (
	// NetworkPolicyDefault opens what the service needs, to anyone.
	NetworkPolicyDefault NetworkPolicyMode = "Default"
	// NetworkPolicyStrict opens what the service needs, to named peers only.
	NetworkPolicyStrict NetworkPolicyMode = "Strict"
	// NetworkPolicyDisabled makes no NetworkPolicy.
	NetworkPolicyDisabled NetworkPolicyMode = "Disabled"
)

// NetworkPolicySpec says which network traffic is allowed.
// +kubebuilder:validation:XValidation:rule="!(has(self.peers) && has(self.mode) && self.mode == 'Disabled')",message="peers: have no effect while mode is Disabled: remove them or set mode to Strict"
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Strict') || (has(self.peers) && self.peers.exists(p, p.direction == 'Ingress'))",message="peers: must name at least one Ingress peer while mode is Strict, or nobody reaches the instance: add the ingress controller's namespace"
type NetworkPolicySpec struct {
	// mode is Default (8080 open to all, 8081 to operator and monitoring,
	// egress to stores, DNS and 443 outside the link-local range), Strict (only
	// the named peers) or Disabled (no NetworkPolicy).
	// +optional
	Mode NetworkPolicyMode `json:"mode,omitempty"`

	// peers are allowed beside what mode allows.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Peers []NetworkPeer `json:"peers,omitempty"`
}

// TrafficDirection is the direction of traffic as seen from the pods.
// +enum
// +kubebuilder:validation:Enum=Ingress;Egress
type TrafficDirection string

const (
	// TrafficIngress is traffic to the pods.
	TrafficIngress TrafficDirection = "Ingress"
	// TrafficEgress is traffic from the pods.
	TrafficEgress TrafficDirection = "Egress"
)

// NetworkPeer is somebody to whom or from whom traffic is allowed.
type NetworkPeer struct {
	// name says who it is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// direction is Ingress (the peer calls the pods) or Egress (the pods call
	// the peer).
	// +required
	Direction TrafficDirection `json:"direction,omitempty"`

	// peer selects pods, namespaces or an address block, as in a NetworkPolicy.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.ipBlock) ? !(has(self.podSelector) || has(self.namespaceSelector)) : (has(self.podSelector) || has(self.namespaceSelector))",message="must select by ipBlock alone, or by podSelector and namespaceSelector: remove what does not belong, or add one of them"
	Peer *networkingv1.NetworkPolicyPeer `json:"peer,omitempty"`

	// ports are the TCP ports. Default: for Ingress the service port, for Egress all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`
}

// MonitoringMode says whether monitoring objects are made.
// +enum
// +kubebuilder:validation:Enum=Auto;Enabled;Disabled
type MonitoringMode string

const (
	// MonitoringAuto makes them when the cluster knows their kinds.
	MonitoringAuto MonitoringMode = "Auto"
	// MonitoringEnabled makes them, and reports it when the kinds are missing.
	MonitoringEnabled MonitoringMode = "Enabled"
	// MonitoringDisabled makes none.
	MonitoringDisabled MonitoringMode = "Disabled"
)

// MonitoringSpec says what is offered to Prometheus.
type MonitoringSpec struct {
	// mode says whether ServiceMonitor, PodMonitor and PrometheusRule are made:
	// Auto (default: when the cluster knows them), Enabled or Disabled.
	// +optional
	Mode MonitoringMode `json:"mode,omitempty"`

	// metrics says whether the pods offer metrics on the admin port
	// (METRICS_ENABLED). Default: Enabled.
	// +optional
	Metrics Mode `json:"metrics,omitempty"`

	// labels are put on the monitoring objects, so that a Prometheus selects them.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Labels map[string]string `json:"labels,omitempty"`

	// intervalSeconds is the time between two scrapes. Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`

	// alerts says whether alerting rules are made too. Default: Enabled.
	// +optional
	Alerts Mode `json:"alerts,omitempty"`
}
