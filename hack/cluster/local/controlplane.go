package local

import (
	"fmt"
	"syscall"
	"time"

	"github.com/garnizeh/englog-operator/hack/cluster/process"
)

// kubernetesUnit is a component of the Kubernetes binary, in the namespace.
func (c *Cluster) kubernetesUnit(name string, h probe, flags ...string) unit {
	return unit{
		spec:    process.Spec{Name: name, Command: append([]string{c.kubernetes(name)}, flags...), Namespace: NamespacePath},
		healthy: h,
		within:  60 * time.Second,
		stop:    syscall.SIGTERM,
	}
}

// etcd does not wait for the disk: a machine that crashes takes the local cluster with it anyway.
func (c *Cluster) etcd() unit {
	const client, peer, metrics = "http://127.0.0.1:2379", "http://127.0.0.1:2380", "http://" + NodeIP + ":2381"
	return c.kubernetesUnit("etcd", healthy(metrics+"/health"),
		"--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--listen-metrics-urls="+metrics)
}

func (c *Cluster) apiserver() unit {
	flags := []string{
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=" + NodeIP, "--advertise-address=" + NodeIP,
		fmt.Sprintf("--secure-port=%d", apiPort), "--service-cluster-ip-range=" + serviceCIDR,
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"),
		"--client-ca-file=" + c.pki("ca.crt"), "--authorization-mode=Node,RBAC", "--allow-privileged=true",
		"--enable-admission-plugins=NodeRestriction",
	}
	flags = append(flags, c.kubeletAccess()...)
	flags = append(flags, c.tokens()...)
	flags = append(flags, c.aggregation()...)
	flags = append(flags, c.auditing()...)
	return c.kubernetesUnit("kube-apiserver", healthy(Server+"/readyz"), flags...)
}

func (c *Cluster) kubeletAccess() []string {
	return []string{
		"--kubelet-client-certificate=" + c.pki("kubelet-client.crt"), "--kubelet-client-key=" + c.pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP", // the node's name resolves nowhere
	}
}

func (c *Cluster) tokens() []string {
	return []string{
		"--service-account-issuer=https://kubernetes.default.svc." + dnsDomain,
		"--service-account-key-file=" + c.pki("sa.pub"), "--service-account-signing-key-file=" + c.pki("sa.key"),
	}
}

// aggregation lets extension API servers, such as metrics-server, trust the API server.
func (c *Cluster) aggregation() []string {
	return []string{
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file=" + c.pki("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki("front-proxy.crt"), "--proxy-client-key-file=" + c.pki("front-proxy.key"),
	}
}

// auditing writes each finished request before it is answered, so that who counts requests misses none.
func (c *Cluster) auditing() []string {
	return []string{
		"--audit-policy-file=" + c.path("config", "audit.yaml"), "--audit-log-path=" + c.AuditLog(),
		"--audit-log-mode=blocking", "--audit-log-maxsize=1000", "--audit-log-maxbackup=1",
	}
}

// controllerManager has a higher request rate than by default: a namespace's ServiceAccount takes 7 s otherwise.
func (c *Cluster) controllerManager() unit {
	config := c.pki("controller-manager.kubeconfig")
	return c.kubernetesUnit("kube-controller-manager", healthy("https://"+NodeIP+":10257/healthz"),
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address="+NodeIP, "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500",
		"--service-account-private-key-file="+c.pki("sa.key"), "--root-ca-file="+c.pki("ca.crt"),
		"--cluster-signing-cert-file="+c.pki("ca.crt"), "--cluster-signing-key-file="+c.pki("ca.key"),
		"--use-service-account-credentials=true", "--allocate-node-cidrs=true", "--cluster-cidr="+podCIDR,
		"--service-cluster-ip-range="+serviceCIDR, "--flex-volume-plugin-dir="+c.path("volumeplugins"))
}

func (c *Cluster) scheduler() unit {
	config := c.pki("scheduler.kubeconfig")
	return c.kubernetesUnit("kube-scheduler", healthy("https://"+NodeIP+":10259/healthz"),
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address="+NodeIP, "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500")
}
