package parts

// Kubernetes is the control plane, the node's agents, etcd and kubectl, as one binary under many names.
var Kubernetes = Part{
	Name: "kubernetes",
	Dir:  "hack/cluster/kubernetes",
	Binaries: []Binary{{Name: "kubernetes", Package: ".", Stamp: []Stamped{
		{Variable: "k8s.io/component-base/version.gitVersion", Module: "k8s.io/kubernetes"},
		{Variable: "k8s.io/component-base/version.gitMajor", Value: "1"},
		{Variable: "k8s.io/component-base/version.gitMinor", Value: "37"},
		{Variable: "k8s.io/component-base/version.gitTreeState", Value: "clean"},
	}}},
	Links: map[string]string{
		"etcd": "kubernetes", "kube-apiserver": "kubernetes", "kube-controller-manager": "kubernetes",
		"kube-scheduler": "kubernetes", "kubelet": "kubernetes", "kube-proxy": "kubernetes", "kubectl": "kubernetes",
	},
	Estimate: "8 to 15 minutes on two cores",
}

const (
	containerd = "github.com/containerd/containerd/v2"
	plugins    = "github.com/containernetworking/plugins/plugins/"
)

var containerdVersion = []Stamped{{Variable: containerd + "/version.Version", Module: containerd}}

// Node is the container runtime and the network plugins.
var Node = Part{
	Name: "node",
	Dir:  "hack/cluster/node",
	Binaries: []Binary{
		{Name: "containerd", Package: containerd + "/cmd/containerd", Stamp: containerdVersion},
		{Name: "containerd-shim-runc-v2", Package: containerd + "/cmd/containerd-shim-runc-v2", Stamp: containerdVersion},
		{Name: "ctr", Package: containerd + "/cmd/ctr", Stamp: containerdVersion},
		// runc without the seccomp tag refuses every pod that has a seccomp profile.
		{Name: "runc", Package: "github.com/opencontainers/runc", CGO: true, Tags: "seccomp", Stamp: []Stamped{
			{Variable: "main.version", Module: "github.com/opencontainers/runc", Trim: "v"},
		}},
		{Name: "bridge", Package: plugins + "main/bridge"},
		{Name: "loopback", Package: plugins + "main/loopback"},
		{Name: "host-local", Package: plugins + "ipam/host-local"},
		{Name: "portmap", Package: plugins + "meta/portmap"},
	},
	Estimate: "2 to 4 minutes on two cores",
}

// CoreDNS is the cluster's DNS server with the few plugins that it needs.
var CoreDNS = Part{
	Name:     "coredns",
	Dir:      "hack/cluster/coredns",
	Binaries: []Binary{{Name: "coredns", Package: "."}},
	Estimate: "1 to 2 minutes on two cores",
}

// Pause is the program that holds a pod's namespaces.
var Pause = Part{
	Name:     "pause",
	Dir:      "hack/cluster/pause",
	Binaries: []Binary{{Name: "pause", Package: "."}},
	Estimate: "some seconds",
}

// All is what a cluster needs.
var All = []Part{Kubernetes, Node, CoreDNS, Pause}
