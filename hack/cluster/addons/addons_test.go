package addons

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "metrics": "metrics", "prometheus,metrics": "metrics prometheus", "metrics,metrics,": "metrics",
	} {
		got, err := Parse(text)
		var names []string
		for _, a := range got {
			names = append(names, a.Name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q: %v, %v; want %q", text, names, err, want)
		}
	}
	if _, err := Parse("metrics,grafana"); err == nil || !strings.Contains(err.Error(), `"grafana"`) || !strings.Contains(err.Error(), "prometheus") {
		t.Errorf("an unknown addon: %v; want its name and those that exist", err)
	}
}

func TestFilesRender(t *testing.T) {
	for name, want := range map[string]string{"metrics-server.yaml": local.NodeIP, "external-metrics.yaml": local.NodeIP, "prometheus.yaml": targetsAddress, "gateway.yaml": "kind: Gateway"} {
		text, err := render(name)
		if err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "{{") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestTargetsAreTheAdminPortsOfRunningPods(t *testing.T) {
	const text = `{"items":[
{"metadata":{"name":"a","namespace":"n","labels":{"app.kubernetes.io/component":"api","englog.io/color":"blue","pod-template-hash":"x"}},
 "spec":{"containers":[{"ports":[{"name":"http","containerPort":8080},{"name":"admin","containerPort":8081}]}]},"status":{"phase":"Running","podIP":"10.244.0.9"}},
{"metadata":{"name":"pending"},"spec":{"containers":[{"ports":[{"name":"admin","containerPort":8081}]}]},"status":{"phase":"Pending","podIP":"10.244.0.8"}},
{"metadata":{"name":"job"},"spec":{"containers":[{}]},"status":{"phase":"Running","podIP":"10.244.0.7"}}]}`
	var pods podList
	if err := json.Unmarshal([]byte(text), &pods); err != nil {
		t.Fatal(err)
	}
	got := targets(pods)
	if len(got) != 1 || got[0].Targets[0] != "10.244.0.9:8081" {
		t.Fatalf("targets %+v", got)
	}
	l := got[0].Labels
	if l["namespace"] != "n" || l["pod"] != "a" || l["app_kubernetes_io_component"] != "api" || l["englog_io_color"] != "blue" || len(l) != 4 {
		t.Errorf("labels %v", l)
	}
	if none, _ := json.Marshal(targets(podList{})); string(none) != "[]" {
		t.Errorf("without pods: %s", none)
	}
}

func TestDefinitionsAreNamed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "metadata:\n  annotations:\n    name: no\n  name: a.example.org\nspec:\n  names:\n  name: neither\n",
		"b.yaml": "---\nkind: CustomResourceDefinition\nmetadata:\n  name: b.example.org\n", "c.txt": "no manifest",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := manifests(dir)
	if err != nil || strings.Contains(string(all), "no manifest") {
		t.Fatalf("%v\n%s", err, all)
	}
	if got := strings.Join(definitionNames(all), " "); got != "a.example.org b.example.org" {
		t.Errorf("got %q", got)
	}
	if _, err := manifests(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there holds manifests")
	}
}
