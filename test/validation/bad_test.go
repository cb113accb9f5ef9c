package validation

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A badSpec differs from base by patch; the API server's refusal has to hold every part of want, which together name
// field, problem and remedy. Rules of the schema itself (enumerations, bounds, types) word the problem their own way: for
// those the remedy is in the bound they name.
type badSpec struct {
	name  string
	patch string
	want  []string
}

func TestBadSpecsAreRefused(t *testing.T) {
	tables := map[string][]badSpec{
		"instance": badInstances, "component": badComponents, "store": badStores, "secret": badSecrets, "ai": badAI,
		"config": badConfig, "exposure": badExposure, "rollout": badRollouts, "network": badNetwork,
	}
	count := 0
	for group, table := range tables {
		for _, bad := range table {
			count++
			t.Run(group+"/"+bad.name, func(t *testing.T) { refused(t, bad) })
		}
	}
	if count < 80 {
		t.Errorf("%d bad specs; there have to be at least 80", count)
	}
}

func refused(t *testing.T, bad badSpec) {
	t.Helper()
	err := submit(t, patched(t, bad.patch))
	if err == nil {
		t.Fatal("the API server accepted it")
	}
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Fatalf("refused for another reason: %v", err)
	}
	for _, part := range bad.want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("message lacks %q:\n%v", part, err)
		}
	}
}

func TestMessagesNameOneProblem(t *testing.T) {
	err := submit(t, patched(t, `spec: {version: latest}`))
	if err == nil || strings.Count(err.Error(), "spec.") != 1 {
		t.Errorf("one mistake, not one complaint: %v", err)
	}
}

var badInstances = []badSpec{
	{"version latest", `spec: {version: latest}`, []string{"spec.version", "full semantic version", "write it as 1.8.0"}},
	{"version with v", `spec: {version: v1.8.0}`, []string{"spec.version", "without a leading v"}},
	{"version of two numbers", `spec: {version: "1.8.x"}`, []string{"spec.version", "full semantic version"}},
	{"version with leading zero", `spec: {version: "1.08.0"}`, []string{"spec.version", "full semantic version"}},
	{"version with build metadata", `spec: {version: 1.8.0+abc}`, []string{"spec.version", "without build metadata"}},
	{"version missing", `spec: {version: null}`, []string{"spec.version", "Required value"}},
	{"environment unknown", `spec: {environment: prod}`, []string{"spec.environment", `Unsupported value: "prod"`, `"Production"`}},
	{"environment in lower case", `spec: {environment: production}`, []string{"spec.environment", `"Production"`}},
	{"environment forgotten", `spec: {environment: null}`, []string{"spec", "environment: is required unless", "Development, Staging or Production"}},
	{
		"environment forgotten, only one store Managed", `spec: {environment: null, database: {type: Managed}}`,
		[]string{"environment: is required unless database and cache are both Managed"},
	},
	{
		"name too long", `metadata: {name: a2345678901234567890123456789012345678901}`,
		[]string{"metadata.name: must be at most 40 characters", "shorter name"},
	},
	{"name with a dot", `metadata: {name: journal.prod}`, []string{"metadata.name", "lower-case letters, digits and '-'"}},
	{"name beginning with a digit", `metadata: {name: 1journal}`, []string{"metadata.name", "must start with a lower-case letter"}},
	{"unknown field", `spec: {replicas: 3}`, []string{`unknown field "spec.replicas"`}},
	{"image with tag", `spec: {image: {repository: "ghcr.io/garnizeh/englog:1.8.0"}}`, []string{"spec.image.repository", "without tag", "spec.version"}},
	{"image with scheme", `spec: {image: {repository: "https://ghcr.io/garnizeh/englog"}}`, []string{"spec.image.repository", "scheme"}},
	{
		"digest of another algorithm", `spec: {image: {digest: "sha512:0123456789012345678901234567890123456789012345678901234567890123"}}`,
		[]string{"spec.image.digest", "sha256: followed by 64"},
	},
	{"digest too short", `spec: {image: {worker: {digest: "sha256:0123"}}}`, []string{"spec.image.worker.digest", "at least 71"}},
	{"pull policy unknown", `spec: {image: {pullPolicy: Sometimes}}`, []string{"spec.image.pullPolicy", `"IfNotPresent"`}},
	{"pull secret twice", `spec: {image: {pullSecrets: [{name: a}, {name: a}]}}`, []string{"spec.image.pullSecrets[1]", "Duplicate value"}},
	{"pull secret without name", `spec: {image: {pullSecrets: [{}]}}`, []string{"spec.image.pullSecrets[0].name", "Required value"}},
	{"reconciliation unknown", `spec: {reconciliation: "No"}`, []string{"spec.reconciliation", `"Paused"`}},
	{"activity unknown", `spec: {activity: Stopped}`, []string{"spec.activity", `"Hibernated"`}},
	{"restart token too long", `spec: {restartToken: "` + strings.Repeat("x", 65) + `"}`, []string{"spec.restartToken", "64"}},
}

var badComponents = []badSpec{
	{"negative replicas", `spec: {api: {replicas: -1}}`, []string{"spec.api.replicas", "greater than or equal to 1"}},
	{"no replicas", `spec: {worker: {replicas: 0}}`, []string{"spec.worker.replicas", "greater than or equal to 1"}},
	{"replicas as text", `spec: {api: {replicas: "3"}}`, []string{"spec.api.replicas", "integer"}},
	{"too many replicas", `spec: {frontend: {replicas: 1001}}`, []string{"spec.frontend.replicas", "less than or equal to 1000"}},
	{
		"replicas and autoscaling of the API", `spec: {api: {replicas: 3, autoscaling: {maxReplicas: 5}}}`,
		[]string{"spec.api", "replicas: excludes autoscaling", "remove one of them"},
	},
	{
		"replicas and autoscaling of workers", `spec: {worker: {replicas: 3, autoscaling: {maxReplicas: 5}}}`,
		[]string{"spec.worker", "replicas: excludes autoscaling"},
	},
	{
		"replicas and autoscaling of the frontend", `spec: {frontend: {replicas: 3, autoscaling: {maxReplicas: 5}}}`,
		[]string{"spec.frontend", "replicas: excludes autoscaling"},
	},
	{
		"min above max", `spec: {api: {autoscaling: {minReplicas: 6, maxReplicas: 5}}}`,
		[]string{"spec.api.autoscaling", "minReplicas: must not be more than maxReplicas", "lower it or raise"},
	},
	{"max missing", `spec: {api: {autoscaling: {minReplicas: 2}}}`, []string{"spec.api.autoscaling.maxReplicas", "Required value"}},
	{
		"queue metric without target", `spec: {worker: {autoscaling: {maxReplicas: 5, queueAgeMetric: age}}}`,
		[]string{"spec.worker.autoscaling", "queueAgeMetric: has no effect without targetQueueAgeSeconds"},
	},
	{"queue age for the API", `spec: {api: {autoscaling: {maxReplicas: 5, targetQueueAgeSeconds: 9}}}`, []string{`unknown field "spec.api.autoscaling.targetQueueAgeSeconds"`}},
	// A typed client would read this amount for ever, and with it no other instance.
	{
		"amount with an exponent nobody can read", `spec: {api: {resources: {limits: {memory: "1e-99999999999"}}}}`,
		[]string{"spec.api.resources.limits.memory", "should match"},
	},
	{
		"metric with an exponent nobody can read", `spec: {api: {autoscaling: {maxReplicas: 5, metrics: [{type: Resource, resource: {name: cpu, target: {type: Value, value: "1E99999999"}}}]}}}`,
		[]string{"spec.api.autoscaling.metrics[0].resource.target.value", "should match"},
	},
	{"label of the operator", `spec: {api: {podLabels: {englog.io/color: red}}}`, []string{"spec.api.podLabels", "which select the pods", "another prefix"}},
	{"well-known label", `spec: {worker: {podLabels: {app.kubernetes.io/instance: x}}}`, []string{"spec.worker.podLabels", "app.kubernetes.io/"}},
	{"annotation of the operator", `spec: {api: {podAnnotations: {englog.io/x: "1"}}}`, []string{"spec.api.podAnnotations", "belong to the operator"}},
	{
		"system priority", `spec: {api: {priorityClassName: system-node-critical}}`,
		[]string{"spec.api.priorityClassName", "must not be a system- class", "of your own"},
	},
	{
		"annotations on a foreign ServiceAccount", `spec: {api: {serviceAccount: {name: mine, annotations: {a: b}}}}`,
		[]string{"spec.api.serviceAccount", "annotations: cannot be set", "remove name"},
	},
	{"grace too short", `spec: {api: {terminationGracePeriodSeconds: 5}}`, []string{"spec.api.terminationGracePeriodSeconds", "greater than or equal to 40"}},
	{
		"grace shorter than the drain", `spec: {worker: {drainTimeoutSeconds: 100, terminationGracePeriodSeconds: 100}}`,
		[]string{"spec.worker", "terminationGracePeriodSeconds: must be at least drainTimeoutSeconds + 15", "raise it or lower"},
	},
	{
		"grace alone", `spec: {worker: {terminationGracePeriodSeconds: 100}}`,
		[]string{"spec.worker", "needs drainTimeoutSeconds beside it", "set both or neither"},
	},
	{"no concurrency", `spec: {worker: {concurrency: 0}}`, []string{"spec.worker.concurrency", "greater than or equal to 1"}},
	{"frontend mode as bool", `spec: {frontend: {mode: true}}`, []string{"spec.frontend.mode", "string"}},
	{"env without value", `spec: {api: {env: [{name: A}]}}`, []string{"spec.api.env[0]", "exactly one of value and secretKey"}},
	{
		"env with two values", `spec: {api: {env: [{name: A, value: x, secretKey: {key: k}}]}}`,
		[]string{"spec.api.env[0]", "exactly one of value and secretKey"},
	},
	{"env in lower case", `spec: {api: {env: [{name: path, value: x}]}}`, []string{"spec.api.env[0].name", "upper-case letters"}},
	{"env PATH", `spec: {api: {env: [{name: PATH, value: x}]}}`, []string{"spec.api.env[0].name", "belongs to the operator or the system", "another name"}},
	{"env LD_PRELOAD", `spec: {worker: {env: [{name: LD_PRELOAD, value: x}]}}`, []string{"spec.worker.env[0].name", "belongs to the operator or the system"}},
	{"env ENVIRONMENT", `spec: {worker: {env: [{name: ENVIRONMENT, value: development}]}}`, []string{"spec.worker.env[0].name", "use the field of spec that sets it"}},
	{"env DATABASE_URL", `spec: {api: {env: [{name: DATABASE_URL, value: x}]}}`, []string{"spec.api.env[0].name", "use the field of spec that sets it"}},
	{"env twice", `spec: {api: {env: [{name: A, value: x}, {name: A, value: y}]}}`, []string{"spec.api.env[1]", "Duplicate value"}},
	{"env from any Secret", `spec: {api: {env: [{name: A, secretKey: {name: other, key: k}}]}}`, []string{`unknown field "spec.api.env[0].secretKey.name"`}},
	{"env from a Secret that is not named", `spec: {api: {env: [{name: A, secretKey: {secret: Other, key: k}}]}}`, []string{"spec.api.env[0].secretKey.secret", `"Instance"`}},
}

var badStores = []badSpec{
	{"no database", `spec: {database: null}`, []string{"spec.database", "Required value"}},
	{"no cache", `spec: {cache: null}`, []string{"spec.cache", "Required value"}},
	{"database without type", `spec: {database: {type: null, external: {}}}`, []string{"spec.database.type", "Required value"}},
	{"database type unknown", `spec: {database: {type: RDS}}`, []string{"spec.database.type", `"External"`, `"Managed"`}},
	{"managed beside External", `spec: {database: {managed: {}}}`, []string{"spec.database", "managed: is only allowed while type is Managed", "remove it"}},
	{"external beside Managed", `spec: {cache: {type: Managed, external: {}}}`, []string{"spec.cache", "external: is only allowed while type is External"}},
	{
		"Managed database in Production", `spec: {environment: Production, database: {type: Managed}}`,
		[]string{"spec", "database.type: Managed is refused in Production", "use External"},
	},
	{
		"Managed cache in Production", `spec: {environment: Production, cache: {type: Managed}}`,
		[]string{"spec", "cache.type: Managed is refused in Production", "use External"},
	},
	{
		"pool above the budget", `spec: {database: {maxConnections: 20, maxConnectionsPerPod: 21}}`,
		[]string{"spec.database", "maxConnectionsPerPod: must not be more than maxConnections", "lower it or raise"},
	},
	{"budget too small", `spec: {database: {maxConnections: 1}}`, []string{"spec.database.maxConnections", "greater than or equal to 10"}},
	{"superuser", `spec: {database: {external: {user: postgres}}}`, []string{"spec.database.external.user", "superuser", "create a role"}},
	{"database host as URL", `spec: {database: {external: {host: "postgres://db"}}}`, []string{"spec.database.external.host", "without scheme and port", "db.example.org"}},
	{"cache host with port", `spec: {cache: {external: {host: "redis:6379"}}}`, []string{"spec.cache.external.host", "without scheme and port"}},
	{"port out of range", `spec: {database: {external: {port: 70000}}}`, []string{"spec.database.external.port", "less than or equal to 65535"}},
	{"database name with space", `spec: {database: {external: {name: "my db"}}}`, []string{"spec.database.external.name", "must be a database name"}},
	{"Secret reference without name", `spec: {database: {external: {secretRef: {}}}}`, []string{"spec.database.external.secretRef.name", "Required value"}},
	{"Secret name in upper case", `spec: {database: {external: {secretRef: {name: DB}}}}`, []string{"spec.database.external.secretRef.name", "name of a Secret", "lower-case"}},
	{"Secret key with slash", `spec: {cache: {external: {secretRef: {name: a, keys: {uri: a/b}}}}}`, []string{"spec.cache.external.secretRef.keys.uri", "key of a Secret"}},
	{
		"CA without verification", `spec: {database: {external: {tls: {mode: Require, caSecretRef: {name: a, key: b}}}}}`,
		[]string{"spec.database.external.tls", "caSecretRef: is only used with mode VerifyCA or VerifyFull", "set mode to VerifyFull"},
	},
	{
		"cache CA without verification", `spec: {cache: {external: {tls: {caSecretRef: {name: a, key: b}}}}}`,
		[]string{"spec.cache.external.tls", "caSecretRef: is only used with mode VerifyFull"},
	},
	{"pooling unknown", `spec: {database: {external: {pooling: Statement}}}`, []string{"spec.database.external.pooling", `"Transaction"`}},
	{"old PostgreSQL", `spec: {database: {type: Managed, managed: {majorVersion: 12}}}`, []string{"spec.database.managed.majorVersion", "greater than or equal to 15"}},
	{"storage size is no quantity", `spec: {cache: {type: Managed, managed: {storage: {size: big}}}}`, []string{"spec.cache.managed.storage.size", "in body should match"}},
	{"storage with an exponent nobody can compute with", `spec: {cache: {type: Managed, managed: {storage: {size: "1e99999999999"}}}}`, []string{"spec.cache.managed.storage"}},
	{"storage of nothing", `spec: {cache: {type: Managed, managed: {storage: {size: 0}}}}`, []string{"spec.cache.managed.storage", "size: must be an amount above 0", "10Gi"}},
	{"negative storage", `spec: {database: {type: Managed, managed: {storage: {size: -1Gi}}}}`, []string{"spec.database.managed.storage", "size: must be an amount above 0"}},
	{"storage class as a path", `spec: {cache: {type: Managed, managed: {storage: {storageClassName: a/b}}}}`, []string{"spec.cache.managed.storage.storageClassName", "name of a StorageClass"}},
	{"negative retries", `spec: {cache: {maxRetries: -1}}`, []string{"spec.cache.maxRetries", "greater than or equal to 0"}},
}
