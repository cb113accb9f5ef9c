package render

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/plan"
)

// A row is one row of the requirements' register about a manifest of the deployment document. Either every field that it covers is rendered
// with the same value, or it says why not, with the defect that the difference answers.
type row struct {
	id      string
	fields  []string // paths in the document's manifest; what is below them is covered too
	because string   // empty: equal
}

const (
	pod       = "spec.template.spec."
	apiMain   = pod + "containers[api]."
	worksMain = pod + "containers[worker]."
)

// The manifests of the deployment document, the objects that answer them, and every field of theirs.
var manifests = []struct {
	file   string
	ensure plan.Ensure
	// rename maps a path of the document to that of the rendered object, where only its place differs.
	rename map[string]string
	rows   []row
	// added are the fields that the document does not have, with the reason.
	added map[string]string
}{
	{
		file: "configmap", ensure: plan.Ensure{Kind: plan.Config, Revision: green},
		rows: []row{
			{"E2", []string{"apiVersion", "kind", "metadata.namespace"}, ""},
			{"E2 name", []string{"metadata.name"}, "X50: one immutable ConfigMap for each revision"},
			{"E3", []string{"data.DB_HOST"}, ""},
			{"E4", []string{"data.DB_PORT"}, ""},
			{"E5", []string{"data.DB_NAME"}, ""},
			{"E6", []string{"data.REDIS_URL"}, "X53: a Redis with a password has its URI in a Secret"},
			{"E7", []string{"data.LOG_LEVEL"}, ""},
			{"E8", []string{"data.ENVIRONMENT"}, ""},
			{"E9", []string{"data.API_PORT"}, "X02: the variable is PORT, and ports and probes follow it"},
			{"E10", []string{"data.WORKER_CONCURRENCY"}, ""},
			{"E11", []string{"data.MAX_CONTENT_SIZE"}, ""},
		},
		added: map[string]string{
			"data": "X03: every setting of the service is set", "immutable": "X50", "metadata.labels": "names of the instance", "metadata.ownerReferences": "X71",
		},
	},
	{
		file: "api-deployment", ensure: plan.Ensure{Kind: plan.Deployment, Component: v1alpha1.API, Color: v1alpha1.Green, Revision: green},
		rows: []row{
			{"E13", []string{"apiVersion", "kind", "metadata.namespace"}, ""},
			{"E13 name", []string{"metadata.name", "metadata.labels.app", "metadata.labels.version"}, "X70, X74: the color is in the name, the revision in a label"},
			{"E13 replicas", []string{"spec.replicas"}, "X46: replicas belong to the autoscaler"},
			{"E14", []string{"spec.selector", "spec.template.metadata.labels"}, "X40: the selector holds what never changes in a color"},
			{"E15", []string{apiMain + "name", apiMain + "ports[http]"}, ""},
			{"E15 image", []string{apiMain + "image"}, "X45, X33: the released image at its version"},
			{"E16", []string{apiMain + "env", apiMain + "envFrom"}, "X49: no superuser; X01: credentials are files, one source for each; X50: the revision's own ConfigMap"},
			{"E17 cpu", []string{apiMain + "resources.requests.cpu", apiMain + "resources.limits"}, ""},
			{"E17 memory", []string{apiMain + "resources.requests.memory"}, "X47: a request that a warm process fits into"},
			{"E18", []string{
				apiMain + "livenessProbe.periodSeconds", apiMain + "livenessProbe.timeoutSeconds", apiMain + "livenessProbe.failureThreshold",
			}, ""},
			{"E18 path", []string{apiMain + "livenessProbe.httpGet"}, "X21: liveness asks the process alone, on the admin port"},
			{"E18 delay", []string{apiMain + "livenessProbe.initialDelaySeconds"}, "X51: a startup probe instead of a guess"},
			{"E19", []string{
				apiMain + "readinessProbe.periodSeconds", apiMain + "readinessProbe.timeoutSeconds", apiMain + "readinessProbe.failureThreshold",
			}, ""},
			{"E19 path", []string{apiMain + "readinessProbe.httpGet"}, "X22: readiness asks for schema and drain too, on the admin port"},
			{"E19 delay", []string{apiMain + "readinessProbe.initialDelaySeconds"}, "X51: a startup probe instead of a guess"},
			{"E20", []string{
				apiMain + "securityContext.runAsNonRoot", apiMain + "securityContext.allowPrivilegeEscalation", apiMain + "securityContext.readOnlyRootFilesystem",
				apiMain + "securityContext.runAsUser",
			}, ""},
			{"E21", []string{apiMain + "volumeMounts[tmp]", pod + "volumes[tmp]"}, ""},
			{"E22", []string{pod + "imagePullSecrets"}, ""},
			{"E22 account", []string{pod + "serviceAccountName"}, "X42: an account that the operator makes"},
		},
		rename: map[string]string{apiMain + "securityContext.runAsUser": pod + "securityContext.runAsUser"},
		added:  podAdditions(apiMain),
	},
	{
		file: "worker-deployment", ensure: plan.Ensure{Kind: plan.Deployment, Component: v1alpha1.Worker, Color: v1alpha1.Green, Revision: green},
		rows: []row{
			{"E23", []string{"apiVersion", "kind", "metadata.namespace"}, ""},
			{"E23 name", []string{"metadata.name", "metadata.labels.app", "metadata.labels.version"}, "X70, X74: the color is in the name, the revision in a label"},
			{"E23 replicas", []string{"spec.replicas"}, "X46: replicas are written through the scale subresource"},
			{"E23 selector", []string{"spec.selector", "spec.template.metadata.labels"}, "X40: the selector holds what never changes in a color"},
			{"E24", []string{worksMain + "name"}, ""},
			{"E24 image", []string{worksMain + "image"}, "X45, X33: the released image at its version"},
			{"E25", []string{worksMain + "env", worksMain + "envFrom"}, "X49: no superuser; X01, X04: credentials are files of what the role needs"},
			{"E26", []string{worksMain + "resources"}, ""},
			{"E27", []string{
				worksMain + "securityContext.runAsNonRoot", worksMain + "securityContext.allowPrivilegeEscalation", worksMain + "securityContext.readOnlyRootFilesystem",
				worksMain + "securityContext.runAsUser", worksMain + "volumeMounts[tmp]", pod + "volumes[tmp]", pod + "imagePullSecrets",
			}, ""},
			{"E27 account", []string{pod + "serviceAccountName"}, "X42: an account that the operator makes"},
		},
		rename: map[string]string{worksMain + "securityContext.runAsUser": pod + "securityContext.runAsUser"},
		added:  podAdditions(worksMain),
	},
	{
		file: "service", ensure: plan.Ensure{Kind: plan.LiveService, Component: v1alpha1.API, Color: v1alpha1.Green, Revision: green},
		rows: []row{
			{"E28", []string{"apiVersion", "kind", "metadata.namespace", "spec.type", "spec.ports[http].name", "spec.ports[http].port", "spec.ports[http].protocol"}, ""},
			{"E28 target", []string{"spec.ports[http].targetPort"}, "X02: the port by its name, so that it follows the setting"},
			{"E28 name", []string{"metadata.name", "metadata.labels.app"}, "names of the instance"},
			{"E28 selector", []string{"spec.selector"}, "X41: the selector always carries color and revision"},
		},
		added: map[string]string{
			"spec.selector": "X41", "spec.ports[http].appProtocol": "the protocol, for those who route by it", "metadata.labels": "names of the instance",
			"metadata.annotations": "X84: the epoch fences switches", "metadata.ownerReferences": "X71",
		},
	},
	{
		file: "ingress", ensure: plan.Ensure{Kind: plan.Route, Component: v1alpha1.API},
		rows: []row{
			{"E29", []string{
				"apiVersion", "kind", "metadata.namespace", "metadata.annotations.cert-manager.io/cluster-issuer",
				"metadata.annotations.nginx.ingress.kubernetes.io/ssl-redirect", "metadata.annotations.nginx.ingress.kubernetes.io/force-ssl-redirect",
			}, ""},
			{"E29 class", []string{"metadata.annotations.kubernetes.io/ingress.class"}, "X43: ingressClassName"},
			{"E29 name", []string{"metadata.name"}, "names of the instance"},
			{"E30", []string{
				"metadata.annotations.nginx.ingress.kubernetes.io/rate-limit", "metadata.annotations.nginx.ingress.kubernetes.io/rate-limit-window",
			}, "X43, X13: an annotation that exists, with the service's own limit"},
			{"E31", []string{"spec.tls"}, ""},
			{"E32", []string{"spec.rules[0].host", "spec.rules[0].http.paths[0].path", "spec.rules[0].http.paths[0].pathType", "spec.rules[0].http.paths[0].backend.service.port"}, ""},
			{"E32 service", []string{"spec.rules[0].http.paths[0].backend.service.name"}, "names of the instance"},
			{"E33", []string{"spec.rules[1].host", "spec.rules[1].http.paths[0].path", "spec.rules[1].http.paths[0].pathType", "spec.rules[1].http.paths[0].backend.service.port"}, ""},
			{"E33 service", []string{"spec.rules[1].http.paths[0].backend.service.name"}, "X42: a Service that exists"},
		},
		added: map[string]string{
			"spec.ingressClassName": "X43", "metadata.annotations.nginx.ingress.kubernetes.io/limit-rps": "X43", "metadata.labels": "names of the instance",
			"metadata.ownerReferences": "X71",
		},
	},
	{
		file: "hpa", ensure: plan.Ensure{Kind: plan.Autoscaler, Component: v1alpha1.API, Color: v1alpha1.Green, Min: 3, Max: 20},
		rows: []row{
			{"F1", []string{"apiVersion", "kind", "metadata.namespace", "spec.scaleTargetRef.apiVersion", "spec.scaleTargetRef.kind"}, ""},
			{"F1 target", []string{"metadata.name", "spec.scaleTargetRef.name"}, "X48: an autoscaler for each color, on the Deployment that serves"},
			{"F2", []string{"spec.minReplicas", "spec.maxReplicas"}, ""},
			{"F3", []string{"spec.metrics[0]"}, ""},
			{"F4", []string{"spec.metrics[1]"}, "X47: memory pins a warm process at the maximum; it can be added under metrics"},
			{"F5", []string{"spec.behavior.scaleDown"}, ""},
			{"F6", []string{"spec.behavior.scaleUp"}, ""},
		},
		added: map[string]string{"metadata.labels": "names of the instance", "metadata.ownerReferences": "X71"},
	},
}

// podAdditions are what the document's pods do not have.
func podAdditions(main string) map[string]string {
	return map[string]string{
		"metadata.labels": "names of the instance", "metadata.annotations": "X84: the epoch fences switches", "metadata.ownerReferences": "X71",
		"spec.selector": "X40", "spec.template.metadata.labels": "X40", "spec.strategy": "no pod less while a restart rolls", "spec.minReadySeconds": "explicit",
		"spec.revisionHistoryLimit": "revisions are the history", "spec.progressDeadlineSeconds": "deadlines are the rollout's",
		main + "args": "one image for all roles", main + "imagePullPolicy": "X33", main + "env": "X16, X53", main + "envFrom": "X50",
		main + "ports[admin]": "X26: operations are on a port of their own", main + "ports[http].protocol": "explicit", main + "startupProbe": "X51",
		main + "livenessProbe": "X21, X25", main + "readinessProbe": "X22, X25", main + "securityContext.capabilities": "X51",
		main + "terminationMessagePath": "explicit", main + "terminationMessagePolicy": "failures tell their cause", main + "volumeMounts": "credentials are files",
		pod + "volumes": "credentials are files", pod + "securityContext": "X51", pod + "automountServiceAccountToken": "X51", pod + "enableServiceLinks": "X51",
		pod + "terminationGracePeriodSeconds": "X51", pod + "topologySpreadConstraints": "X51",
	}
}

// TestDocument compares each manifest of the deployment document, field by field, with what a production instance gets.
func TestDocument(t *testing.T) {
	in := load(t, "production")
	for _, m := range manifests {
		want := readDocument(t, m.file)
		got := rendered(t, in, m.ensure)
		covered := map[string]bool{}
		for _, r := range m.rows {
			t.Run(r.id, func(t *testing.T) { r.check(t, want, got, m.rename, covered) })
		}
		t.Run(m.file+" is complete", func(t *testing.T) {
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if !covered[path] {
					t.Errorf("no row covers %s: %v", path, want[path])
				}
			}
			for _, path := range slices.Sorted(maps.Keys(got)) {
				if _, known := want[path]; !known && !under(path, slices.Collect(maps.Keys(m.added))) && !slices.Contains(slices.Collect(maps.Values(m.rename)), path) {
					t.Errorf("%s: %v is rendered, and neither the document nor the list of additions knows why", path, got[path])
				}
			}
		})
	}
}

func (r row) check(t *testing.T, want, got map[string]any, rename map[string]string, covered map[string]bool) {
	t.Helper()
	if r.because != "" {
		t.Logf("covers %s", r.because)
	}
	matched, differs := false, false
	for path, value := range want {
		if !under(path, r.fields) {
			continue
		}
		matched, covered[path] = true, true
		place := path
		if to, ok := rename[path]; ok {
			place = to
		}
		if equal := reflect.DeepEqual(got[place], value); !equal && r.because == "" {
			t.Errorf("%s: got %v, want %v as in the document", place, got[place], value)
		} else if !equal {
			differs = true
		}
	}
	if !matched {
		t.Errorf("the document has none of %v", r.fields)
	}
	if r.because != "" && !differs {
		t.Errorf("%v are as in the document now: remove the reason %q", r.fields, r.because)
	}
}

func under(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return path == p || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[")
	})
}

func readDocument(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "document", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// The document calls the volume tmp-volume; its name means nothing.
	return flat(t, []byte(strings.ReplaceAll(string(text), "tmp-volume", "tmp")))
}

func rendered(t *testing.T, in Input, e plan.Ensure) map[string]any {
	t.Helper()
	objects := mustRender(t, in, e)
	text, err := yaml.Marshal(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	return flat(t, text)
}

// flat turns an object into its leaves by path. Elements of lists are found by their name where they have one.
func flat(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	leaves := map[string]any{}
	flatten("", object, leaves)
	return leaves
}

func flatten(path string, value any, leaves map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			flatten(strings.TrimPrefix(path+"."+key, "."), below, leaves)
		}
		if len(v) == 0 {
			leaves[path] = v
		}
	case []any:
		for i, below := range v {
			name := any(i)
			if o, ok := below.(map[string]any); ok && o["name"] != nil {
				name = o["name"]
			}
			flatten(fmt.Sprintf("%s[%v]", path, name), below, leaves)
		}
	default:
		leaves[path] = v
	}
}
