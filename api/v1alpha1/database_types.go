package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// StoreType says who runs a store.
// +enum
// +kubebuilder:validation:Enum=External;Managed
type StoreType string

const (
	// StoreExternal is a store that runs elsewhere.
	StoreExternal StoreType = "External"
	// StoreManaged is a store that the operator runs beside the instance.
	StoreManaged StoreType = "Managed"
)

// Pooling says how a pooler in front of the database shares connections.
// +enum
// +kubebuilder:validation:Enum=Session;Transaction
type Pooling string

const (
	// PoolingSession gives each client a server connection of its own.
	PoolingSession Pooling = "Session"
	// PoolingTransaction shares server connections between transactions.
	PoolingTransaction Pooling = "Transaction"
)

// DatabaseTLSMode is how a connection to PostgreSQL is protected.
// +enum
// +kubebuilder:validation:Enum=Disable;Prefer;Require;VerifyCA;VerifyFull
type DatabaseTLSMode string

const (
	// DatabaseTLSDisable never uses TLS.
	DatabaseTLSDisable DatabaseTLSMode = "Disable"
	// DatabaseTLSPrefer uses TLS if the server offers it.
	DatabaseTLSPrefer DatabaseTLSMode = "Prefer"
	// DatabaseTLSRequire uses TLS and believes any certificate.
	DatabaseTLSRequire DatabaseTLSMode = "Require"
	// DatabaseTLSVerifyCA checks who signed the certificate.
	DatabaseTLSVerifyCA DatabaseTLSMode = "VerifyCA"
	// DatabaseTLSVerifyFull checks the signer and the name.
	DatabaseTLSVerifyFull DatabaseTLSMode = "VerifyFull"
)

// DatabaseSpec is the PostgreSQL database of an instance.
// +kubebuilder:validation:XValidation:rule="self.type == 'External' || !has(self.external)",message="external: is only allowed while type is External: remove it or set type to External"
// +kubebuilder:validation:XValidation:rule="self.type == 'Managed' || !has(self.managed)",message="managed: is only allowed while type is Managed: remove it or set type to Managed"
// +kubebuilder:validation:XValidation:rule="!(has(self.maxConnections) && has(self.maxConnectionsPerPod)) || self.maxConnectionsPerPod <= self.maxConnections",message="maxConnectionsPerPod: must not be more than maxConnections: lower it or raise maxConnections"
type DatabaseSpec struct {
	// type says who runs the database: External (elsewhere, reached with the
	// credentials of a Secret) or Managed (one PostgreSQL beside the instance;
	// not for production). It cannot be changed later.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed, because the data would stay behind: create a second instance and move the data"
	Type StoreType `json:"type,omitempty"`

	// external describes a database that runs elsewhere.
	// +optional
	External *ExternalDatabase `json:"external,omitempty"`

	// managed describes the database that the operator runs.
	// +optional
	Managed *ManagedDatabase `json:"managed,omitempty"`

	// maxConnections is how many connections this instance may open in all,
	// during a cutover with both colors. The pool of each pod and the greatest
	// number of pods follow from it. Default: 90.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=100000
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// maxConnectionsPerPod is the greatest pool of one pod (DB_MAX_CONNS).
	// Default: 25.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000
	MaxConnectionsPerPod int32 `json:"maxConnectionsPerPod,omitempty"`

	// timeoutSeconds limits one call to the database (DB_TIMEOUT). Default: 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// ExternalDatabase describes a database that runs elsewhere. Its Secret holds
// either one URI or host, port, database name, user and password, under the
// names that CloudNativePG uses or those given in keys.
type ExternalDatabase struct {
	// secretRef names the Secret with the credentials. Default: the instance's
	// own Secret, with the keys DATABASE_URL or DB_HOST, DB_PORT, DB_NAME,
	// DB_USER and DB_PASSWORD.
	// +optional
	SecretRef *DatabaseSecretRef `json:"secretRef,omitempty"`

	// host is the server's name or address, if the Secret does not hold it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$') || isIP(self)",message="must be a host name or an address without scheme and port: write it as db.example.org"
	Host string `json:"host,omitempty"`

	// port is the server's port, if the Secret does not hold it. Default: 5432.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// name is the database's name, if the Secret does not hold it. Default: englog.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_][a-zA-Z0-9_$-]*$')",message="must be a database name: letters, digits, '_', '$' and '-', not beginning with a digit"
	Name string `json:"name,omitempty"`

	// user is the role to connect as, if the Secret does not hold it. Default: englog.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self != 'postgres'",message="must not be the superuser postgres: create a role that owns only this database, such as englog"
	User string `json:"user,omitempty"`

	// migrationSecretRef names a Secret of the same form whose role owns the
	// tables; migrations run with it, the service with secretRef. Default: secretRef.
	// +optional
	MigrationSecretRef *DatabaseSecretRef `json:"migrationSecretRef,omitempty"`

	// pooling says how a pooler in front of the database shares connections:
	// Session (default, also right without a pooler) or Transaction, in which
	// case the Secret must hold a URI past the pooler for migrations (key directURI).
	// +optional
	Pooling Pooling `json:"pooling,omitempty"`

	// tls says how the connection is protected. It is ignored for what the URI
	// itself says.
	// +optional
	TLS *DatabaseTLS `json:"tls,omitempty"`
}

// DatabaseSecretRef names a Secret with the credentials of a database.
type DatabaseSecretRef struct {
	// name is the name of the Secret, in the instance's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// keys names the keys in the Secret, where they differ from CloudNativePG's.
	// +optional
	Keys *DatabaseSecretKeys `json:"keys,omitempty"`
}

// DatabaseSecretKeys names the keys of a database Secret. If the key of the
// URI is there, the parts are not looked at.
type DatabaseSecretKeys struct {
	// uri is the key of the connection URI. Default: uri.
	// +optional
	URI SecretKey `json:"uri,omitempty"`

	// directURI is the key of the URI past a pooler, for migrations. Default: directURI.
	// +optional
	DirectURI SecretKey `json:"directURI,omitempty"`

	// host is the key of the server's name. Default: host.
	// +optional
	Host SecretKey `json:"host,omitempty"`

	// port is the key of the server's port. Default: port.
	// +optional
	Port SecretKey `json:"port,omitempty"`

	// name is the key of the database's name. Default: dbname.
	// +optional
	Name SecretKey `json:"name,omitempty"`

	// user is the key of the role. Default: username.
	// +optional
	User SecretKey `json:"user,omitempty"`

	// password is the key of the password. Default: password.
	// +optional
	Password SecretKey `json:"password,omitempty"`
}

// SecretKey is a key of a Secret.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
type SecretKey string

// DatabaseTLS says how a connection to PostgreSQL is protected.
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || (has(self.mode) && self.mode in ['VerifyCA', 'VerifyFull'])",message="caSecretRef: is only used with mode VerifyCA or VerifyFull: set mode to VerifyFull or remove caSecretRef"
type DatabaseTLS struct {
	// mode is Disable, Prefer, Require, VerifyCA or VerifyFull, as PostgreSQL's
	// sslmode. Default: Prefer.
	// +optional
	Mode DatabaseTLSMode `json:"mode,omitempty"`

	// caSecretRef names the key of a Secret that holds the certificates to
	// believe. Default: those of the image and of config.caBundle.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`
}

// SecretKeyRef names one key of a Secret in the instance's namespace.
type SecretKeyRef struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// key is the key in the Secret.
	// +required
	Key SecretKey `json:"key,omitempty"`
}

// ManagedDatabase describes the PostgreSQL that the operator runs: one pod,
// one volume, generated credentials. Volume and credentials outlive the
// instance and are taken up again by one of the same name.
type ManagedDatabase struct {
	// storage is the volume of the database.
	// +optional
	Storage *StorageSpec `json:"storage,omitempty"`

	// resources are the compute resources of the pod.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// majorVersion is PostgreSQL's major version. It is fixed once the database
	// exists. Default: 17.
	// +optional
	// +kubebuilder:validation:Minimum=15
	// +kubebuilder:validation:Maximum=18
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed, because the files of one major version do not fit another: dump and restore into a second instance"
	MajorVersion int32 `json:"majorVersion,omitempty"`

	// image is the image to run. Default: the official PostgreSQL image of majorVersion.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
}

// StorageSpec is the volume of a managed store. Its rules compute with sizes that are written plainly only: a comparison of exponents may take
// for ever.
// +kubebuilder:validation:XValidation:rule="!has(self.size) || (string(self.size).matches('^[0-9]{1,18}([.][0-9]{1,9})?([KMGTPE]i|[kMGTPE])?$') && quantity(string(self.size)).isGreaterThan(quantity('0')))",message="size: must be an amount above 0, such as 10Gi"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.size) && has(self.size) && [oldSelf, self].all(s, string(s.size).matches('^[0-9]+([.][0-9]+)?([KMGTPE]i|[kMGTPE])?$'))) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",message="size: must not shrink, because volumes cannot: keep the old size or a greater one"
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="storageClassName: cannot be changed on an existing volume: restore the old value"
type StorageSpec struct {
	// size is the size of the volume. It can grow where the StorageClass allows
	// it, never shrink. Default: 10Gi for the database, 1Gi for the cache.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// storageClassName is the StorageClass. Default: the cluster's default class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a StorageClass: lower-case letters, digits, '-' and '.'"
	StorageClassName string `json:"storageClassName,omitempty"`
}

// CacheTLSMode is how a connection to Redis is protected.
// +enum
// +kubebuilder:validation:Enum=Disable;Require;VerifyFull
type CacheTLSMode string

const (
	// CacheTLSDisable never uses TLS.
	CacheTLSDisable CacheTLSMode = "Disable"
	// CacheTLSRequire uses TLS and believes any certificate.
	CacheTLSRequire CacheTLSMode = "Require"
	// CacheTLSVerifyFull checks the signer and the name.
	CacheTLSVerifyFull CacheTLSMode = "VerifyFull"
)

// CacheSpec is the Redis of an instance.
// +kubebuilder:validation:XValidation:rule="self.type == 'External' || !has(self.external)",message="external: is only allowed while type is External: remove it or set type to External"
// +kubebuilder:validation:XValidation:rule="self.type == 'Managed' || !has(self.managed)",message="managed: is only allowed while type is Managed: remove it or set type to Managed"
type CacheSpec struct {
	// type says who runs Redis: External (elsewhere, reached with the
	// credentials of a Secret) or Managed (one Redis beside the instance; not
	// for production). It cannot be changed later.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed while the instance exists: create a second instance"
	Type StoreType `json:"type,omitempty"`

	// external describes a Redis that runs elsewhere.
	// +optional
	External *ExternalCache `json:"external,omitempty"`

	// managed describes the Redis that the operator runs.
	// +optional
	Managed *ManagedCache `json:"managed,omitempty"`

	// maxRetries is how often a failed call to Redis is repeated
	// (REDIS_MAX_RETRIES). Default: 3.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=20
	MaxRetries *int32 `json:"maxRetries,omitempty"`
}

// ExternalCache describes a Redis that runs elsewhere. Its Secret holds either
// one URI or host, port, user and password.
type ExternalCache struct {
	// secretRef names the Secret with the credentials. Default: the instance's
	// own Secret, with the keys REDIS_URL or REDIS_HOST, REDIS_PORT, REDIS_USER
	// and REDIS_PASSWORD.
	// +optional
	SecretRef *CacheSecretRef `json:"secretRef,omitempty"`

	// host is the server's name or address, if the Secret does not hold it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$') || isIP(self)",message="must be a host name or an address without scheme and port: write it as redis.example.org"
	Host string `json:"host,omitempty"`

	// port is the server's port, if the Secret does not hold it. Default: 6379.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// user is the ACL user, if the Secret does not hold it. Default: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	User string `json:"user,omitempty"`

	// tls says how the connection is protected. It is ignored for what the URI
	// itself says.
	// +optional
	TLS *CacheTLS `json:"tls,omitempty"`
}

// CacheSecretRef names a Secret with the credentials of a Redis.
type CacheSecretRef struct {
	// name is the name of the Secret, in the instance's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Secret in the instance's namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// keys names the keys in the Secret, where they differ from the defaults.
	// +optional
	Keys *CacheSecretKeys `json:"keys,omitempty"`
}

// CacheSecretKeys names the keys of a Redis Secret. If the key of the URI is
// there, the parts are not looked at.
type CacheSecretKeys struct {
	// uri is the key of the connection URI. Default: uri.
	// +optional
	URI SecretKey `json:"uri,omitempty"`

	// host is the key of the server's name. Default: host.
	// +optional
	Host SecretKey `json:"host,omitempty"`

	// port is the key of the server's port. Default: port.
	// +optional
	Port SecretKey `json:"port,omitempty"`

	// user is the key of the ACL user. Default: username.
	// +optional
	User SecretKey `json:"user,omitempty"`

	// password is the key of the password. Default: password.
	// +optional
	Password SecretKey `json:"password,omitempty"`
}

// CacheTLS says how a connection to Redis is protected.
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || (has(self.mode) && self.mode == 'VerifyFull')",message="caSecretRef: is only used with mode VerifyFull: set mode to VerifyFull or remove caSecretRef"
type CacheTLS struct {
	// mode is Disable (default), Require or VerifyFull.
	// +optional
	Mode CacheTLSMode `json:"mode,omitempty"`

	// caSecretRef names the key of a Secret that holds the certificates to
	// believe. Default: those of the image and of config.caBundle.
	// +optional
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`
}

// ManagedCache describes the Redis that the operator runs: one pod, one
// volume, a generated password, append-only file, no eviction.
type ManagedCache struct {
	// storage is the volume of the cache.
	// +optional
	Storage *StorageSpec `json:"storage,omitempty"`

	// resources are the compute resources of the pod.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// image is the image to run. Default: the official Redis image, major version 7.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
}
