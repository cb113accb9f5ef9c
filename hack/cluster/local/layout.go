// Package local runs the one-node cluster on this machine: its addresses, its configuration, what is started in which
// order, what healthy means, and how everything goes away again. It must import nothing of the operator or the service.
package local

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// Addresses. The host's side of the veth pair has hostIP and, for load generators that run out of ports, the addresses
// loadFirst to loadLast in the same network.
const (
	Namespace   = "englog" // network namespace, and the cluster's name in kubeconfigs
	NodeName    = "node1"
	NodeIP      = "10.88.0.1"
	hostIP      = "10.88.0.2"
	nodeNetwork = "10.88.0."
	loadFirst   = 101
	loadLast    = 116
	podCIDR     = "10.244.0.0/16"
	nodePodCIDR = "10.244.0.0/24"
	serviceCIDR = "10.96.0.0/16"
	apiService  = "10.96.0.1"
	dnsService  = "10.96.0.10"
	dnsDomain   = "cluster.local"
	hostLink    = "englog0"
	nodeLink    = "node0"
	apiPort     = 6443
)

// DefaultState is where a cluster keeps everything while it runs. It must be readable for the user postgres, and its
// path short: sockets below it may have at most 107 characters.
const DefaultState = "/var/lib/englog-cluster"

// Server is the API server's address, on the host and in the namespace alike.
var Server = "https://" + NodeIP + ":" + strconv.Itoa(apiPort)

// NamespacePath is the network namespace as a file, for nsenter.
const NamespacePath = "/run/netns/" + Namespace

// Cluster is a cluster on this machine, running or not.
type Cluster struct {
	State string
	Parts Parts
	table process.Table
}

// Parts are the directories that built binaries are in. Only up needs all of them.
type Parts struct{ Kubernetes, Node, CoreDNS, Pause string }

// New describes the cluster whose state is in dir.
func New(dir string, parts Parts) *Cluster {
	return &Cluster{State: dir, Parts: parts, table: process.Table{Dir: filepath.Join(dir, "run"), Logs: filepath.Join(dir, "log")}}
}

// StateVariable names the environment variable that moves the state elsewhere.
const StateVariable = "ENGLOG_CLUSTER_STATE"

// StateDir is what the variable says, or the default.
func StateDir() string {
	if dir := os.Getenv(StateVariable); dir != "" {
		return dir
	}
	return DefaultState
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.State}, elements...)...)
}

func (c *Cluster) pki(name string) string { return c.path("pki", name) }

// Kubeconfig is the administrator's.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// AuditLog has one JSON line for each finished API request.
func (c *Cluster) AuditLog() string { return c.path("log", "audit.log") }

// Logs is the directory with a log of each program.
func (c *Cluster) Logs() string { return c.table.Logs }

func (c *Cluster) kubernetes(name string) string { return filepath.Join(c.Parts.Kubernetes, name) }

func (c *Cluster) node(name string) string { return filepath.Join(c.Parts.Node, name) }

// Socket is containerd's.
func (c *Cluster) Socket() string { return c.path("containerd.sock") }

// LoadAddresses are the host's addresses that load generators may bind to, to have more ports.
func LoadAddresses() []string {
	var all []string
	for n := loadFirst; n <= loadLast; n++ {
		all = append(all, nodeNetwork+strconv.Itoa(n))
	}
	return all
}
