package addons

import (
	"context"
	"path/filepath"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

var metrics = Addon{
	Name:     "metrics",
	Programs: []local.Program{{Name: "metrics-server", Health: "https://" + local.NodeIP + ":4443/livez"}},
	Says:     "metrics-server: kubectl top, and autoscaling on real processor time (first values after some 20 s)",
	Parts: []parts.Part{{
		Name: "metrics-server",
		Dir:  "hack/cluster/addons/metrics-server",
		Binaries: []parts.Binary{{Name: "metrics-server", Package: "sigs.k8s.io/metrics-server/cmd/metrics-server", Stamp: []parts.Stamped{
			{Variable: "k8s.io/client-go/pkg/version.gitVersion", Module: "sigs.k8s.io/metrics-server"},
		}}},
		Estimate: "2 to 4 minutes on two cores",
	}},
	start: startMetrics,
}

// startMetrics runs metrics-server beside the API server, which finds it by a Service without a selector. The kubelet's
// certificate is its own: hence the insecure flag.
func startMetrics(ctx context.Context, c *local.Cluster, a Addon, dirs []string) error {
	dir, err := c.Dir("metrics-server")
	if err != nil {
		return err
	}
	config := c.Kubeconfig()
	err = c.Run(ctx, a.program("metrics-server",
		filepath.Join(dirs[0], "metrics-server"),
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address="+local.NodeIP, "--secure-port=4443", "--cert-dir="+dir,
		"--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP",
		"--metric-resolution=10s", "--kubelet-request-timeout=5s"))
	if err != nil {
		return err
	}
	manifest, err := render("metrics-server.yaml")
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, manifest); err != nil {
		return err
	}
	return c.Await(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", "Available")
}
