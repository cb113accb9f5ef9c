package addons

import (
	"context"
	"os"
	"path/filepath"

	"github.com/garnizeh/englog-operator/hack/cluster/debian"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
)

// PrometheusURL is what the operator's --prometheus-url wants; it is reachable from host, node and pods.
const PrometheusURL = "http://" + local.NodeIP + ":9090"

var prometheus = Addon{
	Name: "prometheus",
	Programs: []local.Program{
		{Name: TargetsCommand, Health: "http://" + targetsAddress + "/"},
		{Name: "prometheus", Health: PrometheusURL + "/-/ready"},
	},
	Says:     "Prometheus: " + PrometheusURL + " (the operator's --prometheus-url), reads the admin port of each EngLog pod",
	Packages: []debian.Package{{Name: "prometheus", Provides: []string{"prometheus"}}},
	start:    startPrometheus,
}

func startPrometheus(ctx context.Context, c *local.Cluster, a Addon, _ []string) error {
	dir, err := c.Dir("prometheus")
	if err != nil {
		return err
	}
	config, err := place(dir, "prometheus.yaml")
	if err != nil {
		return err
	}
	if _, err := place(dir, "prometheus-rules.yaml"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := c.Run(ctx, a.program(TargetsCommand, "env", local.StateVariable+"="+c.State, self, TargetsCommand)); err != nil {
		return err
	}
	return c.Run(ctx, a.program("prometheus",
		"prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--storage.tsdb.retention.time=2h", "--web.listen-address="+local.NodeIP+":9090", "--log.level=warn"))
}
