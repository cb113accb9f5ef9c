package addons

import (
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
	c := local.New(t.TempDir(), local.Parts{})
	for name, want := range map[string]string{"metrics-server.yaml": local.NodeIP, "prometheus.yaml": c.Kubeconfig()} {
		text, err := render(c, name)
		if err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "{{") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}
