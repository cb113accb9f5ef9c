package v1alpha1

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

func (in *DatabaseSpec) setDefaults() {
	fill(&in.MaxConnections, 90) // PostgreSQL's own limit is 100, some of them for the superuser
	fill(&in.MaxConnectionsPerPod, min(25, in.MaxConnections))
	fill(&in.TimeoutSeconds, 10)
	if in.Type == StoreManaged {
		ensure(&in.Managed).setDefaults()
		return
	}
	ensure(&in.External).setDefaults()
}

func (in *ExternalDatabase) setDefaults() {
	fill(&in.Port, 5432)
	fill(&in.Name, "englog")
	fill(&in.User, "englog")
	fill(&in.Pooling, PoolingSession)
	fill(&ensure(&in.TLS).Mode, DatabaseTLSPrefer)
	ref := ensure(&in.SecretRef)
	ensure(&ref.Keys).setDefaults(ref.Name == "")
	if in.MigrationSecretRef != nil {
		ensure(&in.MigrationSecretRef.Keys).setDefaults(false)
	}
}

// setDefaults names the keys: in the instance's own Secret as the variables are called, else as CloudNativePG names them.
func (in *DatabaseSecretKeys) setDefaults(own bool) {
	fill(&in.URI, pick(own, "DATABASE_URL", "uri"))
	fill(&in.DirectURI, pick(own, "DATABASE_MIGRATION_URL", "directURI"))
	fill(&in.Host, pick(own, "DB_HOST", "host"))
	fill(&in.Port, pick(own, "DB_PORT", "port"))
	fill(&in.Name, pick(own, "DB_NAME", "dbname"))
	fill(&in.User, pick(own, "DB_USER", "username"))
	fill(&in.Password, pick(own, "DB_PASSWORD", "password"))
}

func pick(own bool, variable, key SecretKey) SecretKey {
	if own {
		return variable
	}
	return key
}

func (in *ManagedDatabase) setDefaults() {
	fill(&in.MajorVersion, 17)
	fill(&in.Image, "docker.io/library/postgres:"+strconv.Itoa(int(in.MajorVersion)))
	in.Storage = in.Storage.withDefaults("10Gi")
	if in.Resources == nil {
		resources := requirements("100m", "256Mi", "1", "1Gi")
		in.Resources = &resources
	}
}

func (in *StorageSpec) withDefaults(size string) *StorageSpec {
	out := *ensure(&in)
	if out.Size == nil {
		quantity := resource.MustParse(size)
		out.Size = &quantity
	}
	return &out
}

func (in *CacheSpec) setDefaults() {
	if in.MaxRetries == nil {
		in.MaxRetries = new(int32(3))
	}
	if in.Type == StoreManaged {
		ensure(&in.Managed).setDefaults()
		return
	}
	ensure(&in.External).setDefaults()
}

func (in *ExternalCache) setDefaults() {
	fill(&in.Port, 6379)
	fill(&ensure(&in.TLS).Mode, CacheTLSDisable)
	ref := ensure(&in.SecretRef)
	ensure(&ref.Keys).setDefaults(ref.Name == "")
}

func (in *CacheSecretKeys) setDefaults(own bool) {
	fill(&in.URI, pick(own, "REDIS_URL", "uri"))
	fill(&in.Host, pick(own, "REDIS_HOST", "host"))
	fill(&in.Port, pick(own, "REDIS_PORT", "port"))
	fill(&in.User, pick(own, "REDIS_USER", "username"))
	fill(&in.Password, pick(own, "REDIS_PASSWORD", "password"))
}

func (in *ManagedCache) setDefaults() {
	fill(&in.Image, "docker.io/library/redis:7")
	in.Storage = in.Storage.withDefaults("1Gi")
	if in.Resources == nil {
		resources := requirements("50m", "64Mi", "500m", "512Mi")
		in.Resources = &resources
	}
}
