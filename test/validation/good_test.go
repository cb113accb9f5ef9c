package validation

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestSamplesAreAccepted(t *testing.T) {
	for _, file := range samples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			object := &unstructured.Unstructured{Object: parse(t, string(data))}
			object.SetNamespace("default")
			if err := submit(t, object); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProductionFitsOnAPage(t *testing.T) {
	data, err := os.ReadFile("../../config/samples/production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(data, []byte("\n")); lines > 40 {
		t.Errorf("production.yaml has %d lines; the whole set-up has to fit into 40", lines)
	}
}

// TestAtTheLimits submits the largest lists with the costliest rules: the API server would refuse a spec whose rules take
// too long, although each rule alone passed the estimate when the CRD was installed.
func TestAtTheLimits(t *testing.T) {
	var hosts, frontends, env, checks []string
	for i := range 16 {
		label := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63)
		hosts = append(hosts, fmt.Sprintf("h%d.%s.example.org", i, label))
		frontends = append(frontends, fmt.Sprintf("f%d.%s.example.org", i, label))
		checks = append(checks, fmt.Sprintf(`{name: check-%d, stage: PrePromotion, type: HTTP, http: {path: "/%s"}}`, i, strings.Repeat("x", 500)))
	}
	for i := range 32 {
		env = append(env, fmt.Sprintf(`{name: X%d_%s, value: %s}`, i, strings.Repeat("A", 120), strings.Repeat("v", 4096)))
	}
	patch := fmt.Sprintf(`
metadata: {name: %s}
spec:
  api: {env: [%s]}
  worker: {env: [%s]}
  frontend: {env: [%s]}
  exposure: {type: Ingress, hosts: [%s], frontendHosts: [%s], previewHost: preview.example.org}
  rollout: {checks: [%s]}`,
		strings.Repeat("n", 40), strings.Join(env, ", "), strings.Join(env, ", "), strings.Join(env, ", "),
		strings.Join(hosts, ", "), strings.Join(frontends, ", "), strings.Join(checks, ", "))
	if err := submit(t, patched(t, patch)); err != nil {
		t.Error(err)
	}
}

var goodSpecs = map[string]string{
	"base":                           `{}`,
	"pre-release":                    `spec: {version: 2.0.0-rc.1}`,
	"both stores Managed":            `spec: {environment: null, database: {type: Managed}, cache: {type: Managed}}`,
	"empty groups":                   `spec: {api: {}, worker: {}, frontend: {}, config: {}, features: {}, rollout: {}, ai: {}, image: {}, auth: {}, tracing: {}, monitoring: {}, networkPolicy: {}}`,
	"registry with port":             `spec: {image: {repository: "localhost:5000/englog"}}`,
	"database by address":            `spec: {database: {external: {host: 10.88.0.1}}}`,
	"database by IPv6":               `spec: {database: {external: {host: "fd00::1"}}}`,
	"short retention":                `spec: {rollout: {retentionSeconds: 15, confirmSeconds: 0}}`,
	"resources as users write them":  `spec: {api: {resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi}}}}`,
	"scheduling as users write it":   `spec: {worker: {nodeSelector: {disk: ssd}, tolerations: [{key: a, operator: Exists}], affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname}}]}}}}`,
	"behavior of a plain autoscaler": `spec: {api: {autoscaling: {maxReplicas: 5, metrics: [{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}}], behavior: {scaleDown: {stabilizationWindowSeconds: 60}}}}}`,
	"env of its own":                 `spec: {api: {env: [{name: TZ, value: Europe/Berlin}, {name: FLAG, value: ""}, {name: TOKEN, secretKey: {secret: Mail, key: token}}]}}`,
	"redirect off behind a balancer": `spec: {exposure: {type: Ingress, hosts: [a.example.org], httpsRedirect: Disabled, ingress: {className: alb, annotations: {alb.ingress.kubernetes.io/scheme: internet-facing}}}}`,
	"production without AI":          `spec: {environment: Production}`,
}

func TestGoodSpecsAreAccepted(t *testing.T) {
	for name, patch := range goodSpecs {
		t.Run(name, func(t *testing.T) {
			if err := submit(t, patched(t, patch)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChanges shows what may be changed later, and what may not.
func TestChanges(t *testing.T) {
	managed := `spec: {database: {type: Managed, managed: {majorVersion: 16, storage: {size: 10Gi, storageClassName: fast}}}, cache: {type: Managed}}`
	tests := []struct{ name, before, after, want string }{
		{"database to Managed", `{}`, `spec: {database: {type: Managed}}`, "cannot be changed, because the data would stay behind"},
		{"database to External", managed, `spec: {database: {type: External, managed: null}}`, "create a second instance and move the data"},
		{"cache to Managed", `{}`, `spec: {cache: {type: Managed}}`, "spec.cache.type"},
		{"major version", managed, `spec: {database: {managed: {majorVersion: 17}}}`, "files of one major version do not fit another"},
		{"smaller volume", managed, `spec: {database: {managed: {storage: {size: 9Gi}}}}`, "size: must not shrink"},
		{"greater volume", managed, `spec: {database: {managed: {storage: {size: 10241Mi}}}}`, ""},
		{"the same size in bytes", managed, `spec: {database: {managed: {storage: {size: 10737418240}}}}`, ""},
		{"smaller in bytes", managed, `spec: {database: {managed: {storage: {size: 10737418239}}}}`, "size: must not shrink"},
		{"storage class", managed, `spec: {database: {managed: {storage: {storageClassName: slow}}}}`, "storageClassName: cannot be changed"},
		{"storage class removed", managed, `spec: {database: {managed: {storage: {storageClassName: null}}}}`, "storageClassName: cannot be changed"},
		{"another Secret", `{}`, `spec: {database: {external: {secretRef: {name: other}}}}`, ""},
		{"version there and back", `{}`, `spec: {version: 1.7.0}`, ""},
		{"environment", `{}`, `spec: {environment: Production}`, ""},
		{"everything else", `{}`, `spec: {activity: Hibernated, reconciliation: DryRun, restartToken: a, api: {replicas: 9}}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			object := patched(t, test.before)
			object.SetNamespace(cluster.Namespace(t))
			cluster.Create(t, object)
			merge(object.Object, parse(t, test.after))
			err := cluster.Client.Update(t.Context(), object, client.DryRunAll)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
