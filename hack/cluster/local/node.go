package local

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/image"
	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

func (c *Cluster) containerd() unit {
	return unit{
		spec: process.Spec{
			Name:      "containerd",
			Command:   []string{c.node("containerd"), "--config", c.path("config", "containerd.toml")},
			Env:       []string{"PATH=" + c.Parts.Node + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, // finds its shim
			Namespace: NamespacePath,
		},
		healthy: func(ctx context.Context) error { return c.ctr(ctx, nil, "version") },
		within:  30 * time.Second,
		stop:    syscall.SIGTERM,
	}
}

func (c *Cluster) kubelet() unit {
	return c.kubernetesUnit("kubelet", healthy("http://"+NodeIP+":10248/healthz"),
		"--config="+c.path("config", "kubelet.yaml"), "--kubeconfig="+c.pki("node.kubeconfig"),
		"--hostname-override="+NodeName, "--node-ip="+NodeIP,
		"--root-dir="+c.path("kubelet"), "--cert-dir="+c.path("pki", "kubelet"), "--v=1")
}

func (c *Cluster) kubeProxy() unit {
	return c.kubernetesUnit("kube-proxy", healthy("http://"+NodeIP+":10256/healthz"), "--config="+c.path("config", "kube-proxy.yaml"))
}

// ctr runs containerd's client in the kubelet's containerd namespace.
func (c *Cluster) ctr(ctx context.Context, stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, c.node("ctr"), append([]string{"--address", c.Socket(), "--namespace", "k8s.io"}, args...)...)
	cmd.Stdin = stdin
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w: %.500s", args[0], err, out)
	}
	return nil
}

// Load puts an image where the kubelet finds it.
func (c *Cluster) Load(ctx context.Context, i image.Image) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(i.Write(writer)) }()
	defer reader.Close()
	if err := c.ctr(ctx, reader, "images", "import", "-"); err != nil {
		return fmt.Errorf("load %s: %w", i.Name, err)
	}
	return nil
}

// loadSystemImages loads what the node itself runs.
func (c *Cluster) loadSystemImages(ctx context.Context) error {
	for _, i := range []image.Image{
		system(c.pauseImage(), c.Parts.Pause+"/pause"),
		system(c.corednsImage(), c.Parts.CoreDNS+"/coredns"),
	} {
		if err := c.Load(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func system(name, binary string) image.Image {
	return image.Image{
		Name:       name,
		Files:      []image.File{{Path: "/run-me", From: binary, Mode: 0o755}},
		Entrypoint: []string{"/run-me"},
		User:       "65532:65532",
	}
}
