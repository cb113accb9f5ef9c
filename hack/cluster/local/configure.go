package local

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"text/template"

	"github.com/garnizeh/englog-operator/hack/cluster/pki"
)

//go:embed files
var files embed.FS

// settings are what the templates in files/ may use.
type settings struct {
	State, Socket, Node, Snapshotter                string
	Namespace, NodeName, NodeIP, NodePodCIDR        string
	DNSService, DNSDomain, PauseImage, CoreDNSImage string
}

func (c *Cluster) settings() settings {
	return settings{
		State: c.State, Socket: c.Socket(), Node: c.Parts.Node, Snapshotter: snapshotter(c.State),
		Namespace: Namespace, NodeName: NodeName, NodeIP: NodeIP, NodePodCIDR: nodePodCIDR,
		DNSService: dnsService, DNSDomain: dnsDomain, PauseImage: c.pauseImage(), CoreDNSImage: c.corednsImage(),
	}
}

func (c *Cluster) pauseImage() string { return "cluster.invalid/pause:" + filepath.Base(c.Parts.Pause) }
func (c *Cluster) corednsImage() string {
	return "cluster.invalid/coredns:" + filepath.Base(c.Parts.CoreDNS)
}

// snapshotter is overlayfs, but for a state directory that is itself on an overlay, as in a container.
func snapshotter(dir string) string {
	const overlay = 0x794c7630 // OVERLAYFS_SUPER_MAGIC, linux/magic.h
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil && fs.Type == overlay {
		return "native"
	}
	return "overlayfs"
}

// render fills a template of files/.
func (c *Cluster) render(name string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, c.settings()); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// configure writes keys, once, and configuration files.
func (c *Cluster) configure() error {
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return err
	}
	for file, template := range map[string]string{
		"config/containerd.toml": "containerd.toml", "config/cni/10-pods.conflist": "cni.conflist",
		"config/kubelet.yaml": "kubelet.yaml", "config/kube-proxy.yaml": "kube-proxy.yaml", "config/audit.yaml": "audit.yaml",
	} {
		if err := c.write(file, template); err != nil {
			return err
		}
	}
	if _, err := os.Stat(c.Kubeconfig()); err == nil {
		return nil
	}
	if err := c.issue(); err != nil {
		return fmt.Errorf("make keys and certificates: %w", err)
	}
	return nil
}

func (c *Cluster) write(file, template string) error {
	text, err := c.render(template)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path(file)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.path(file), text, 0o644)
}

// identities of the components, as Kubernetes' own RBAC rules know them.
func identities() []pki.Identity {
	masters := []string{"system:masters"}
	return []pki.Identity{
		{File: "apiserver", CommonName: "kube-apiserver", Addresses: []string{NodeIP, apiService, "127.0.0.1", "localhost", "kubernetes",
			"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + dnsDomain}},
		{File: "admin", CommonName: "admin", Groups: masters},
		{File: "kubelet-client", CommonName: "apiserver-kubelet-client", Groups: masters},
		{File: "controller-manager", CommonName: "system:kube-controller-manager"},
		{File: "scheduler", CommonName: "system:kube-scheduler"},
		{File: "proxy", CommonName: "system:kube-proxy"},
		{File: "node", CommonName: "system:node:" + NodeName, Groups: []string{"system:nodes"}},
		{File: "front-proxy", CommonName: "front-proxy-client"},
	}
}

func (c *Cluster) issue() error {
	authority, err := pki.New(c.path("pki"), Namespace)
	if err != nil {
		return err
	}
	for _, id := range identities() {
		if err := authority.Issue(id); err != nil {
			return err
		}
	}
	if err := authority.SigningKey("sa"); err != nil {
		return err
	}
	for _, name := range []string{"controller-manager", "scheduler", "proxy", "node"} {
		if err := authority.Kubeconfig(c.pki(name+".kubeconfig"), Namespace, Server, name); err != nil {
			return err
		}
	}
	// Last: its presence says that all keys are there.
	return authority.Kubeconfig(c.Kubeconfig(), Namespace, Server, "admin")
}
