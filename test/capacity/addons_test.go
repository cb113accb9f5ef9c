package capacity

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/addons"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/demo/cutover"
)

// programs are what the addons run.
var programs = []string{"metrics-server", "scrape-targets", "prometheus", "external-metrics"}

// addons: all of them are healthy, a second up leaves them alone, and one that has died is told and started again.
func (r *rig) addons(t *testing.T) {
	r.healthy(t)
	before := pids(t)
	r.up(t)
	if after := pids(t); !slices.Equal(before, after) {
		t.Errorf("a second up has started programs again: %v, then %v", before, after)
	}
	killProgram(t, "prometheus")
	if out, err := r.Tool(t.Context(), "status"); err == nil || !strings.Contains(err.Error(), "not healthy") {
		t.Errorf("the status does not tell that Prometheus has died: %v %s", err, out)
	}
	r.up(t)
	r.healthy(t)
	t.Run("values", func(t *testing.T) {
		err := cutover.Await(t.Context(), time.Minute, "the node's processor time", func(ctx context.Context) (bool, string, error) {
			out, err := r.Kubectl(ctx, "top", "node", "--no-headers")
			return err == nil && strings.Contains(out, "%"), out, err
		})
		if err != nil {
			t.Error(err)
		}
		out, err := r.Kubectl(t.Context(), "get", "--raw", "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/nothing")
		if err != nil || !strings.Contains(out, `"items":[]`) {
			t.Errorf("external metrics: %v %s", err, out)
		}
	})
}

func (r *rig) up(t *testing.T) {
	t.Helper()
	if _, err := r.Tool(t.Context(), "up"); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) healthy(t *testing.T) {
	t.Helper()
	out, err := r.Tool(t.Context(), "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return slices.Equal(strings.Fields(line), []string{p, "ok"}) }) {
			t.Errorf("%s is not ok:\n%s", p, out)
		}
	}
	response, err := http.Get(addons.PrometheusURL + "/api/v1/rules") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// pidOf is the process id that the cluster has recorded for a program.
func pidOf(t *testing.T, program string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(local.StateDir(), "run", program+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(content, &record); err != nil || record.PID == 0 {
		t.Fatalf("%s: %v %s", program, err, content)
	}
	return record.PID
}

func pids(t *testing.T) []int {
	t.Helper()
	var all []int
	for _, p := range programs {
		all = append(all, pidOf(t, p))
	}
	return all
}

func killProgram(t *testing.T, program string) {
	t.Helper()
	if err := syscall.Kill(pidOf(t, program), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// left looks for what a cluster that is down has left.
func left(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{local.StateDir(), local.NamespacePath, "/sys/class/net/englog0"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			t.Errorf("left: %v", found)
		}
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), local.StateDir()) && !strings.HasSuffix(file, "/self/cmdline") {
			t.Errorf("left: process %s: %s", file, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
