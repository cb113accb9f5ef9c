package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

// networkUp makes the namespace and the veth pair. There is no default route inside: the cluster has no way out, so a
// pull from a registry fails at once and nothing depends on the machine's network.
func (c *Cluster) networkUp(ctx context.Context) error {
	if err := foreignNetworks(ctx); err != nil {
		return err
	}
	if err := command(ctx, "ip", "netns", "add", Namespace); err != nil {
		return err
	}
	if err := command(ctx, "ip", "link", "add", hostLink, "type", "veth", "peer", "name", nodeLink, "netns", Namespace); err != nil {
		return err
	}
	if err := ipBatch(ctx, nil, hostCommands()); err != nil {
		return err
	}
	enter := []string{"nsenter", "--net=" + NamespacePath, "--"}
	if err := ipBatch(ctx, enter, nodeCommands()); err != nil {
		return err
	}
	return sysctls(ctx, enter)
}

func hostCommands() []string {
	commands := []string{"address add " + hostIP + "/24 dev " + hostLink}
	for _, address := range LoadAddresses() {
		commands = append(commands, "address add "+address+"/24 dev "+hostLink)
	}
	return append(commands,
		"link set "+hostLink+" up",
		"route add "+serviceCIDR+" via "+NodeIP+" dev "+hostLink,
		"route add "+podCIDR+" via "+NodeIP+" dev "+hostLink,
	)
}

func nodeCommands() []string {
	return []string{
		"link set lo up",
		"address add " + NodeIP + "/24 dev " + nodeLink,
		"link set " + nodeLink + " up",
		// Without a route a connection to a ClusterIP fails before kube-proxy's rules can rewrite it.
		"route add " + serviceCIDR + " dev lo",
	}
}

// sysctls of the namespace. Bridged packets must pass the rules: the answer of a pod to a pod on the same bridge has to
// be rewritten too. TIME_WAIT connections of a load test must not fill the connection table for two minutes.
func sysctls(ctx context.Context, enter []string) error {
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		_ = command(ctx, "modprobe", "br_netfilter") // checked below
	}
	script := `set -e
echo 1 > /proc/sys/net/ipv4/ip_forward
test -e /proc/sys/net/bridge/bridge-nf-call-iptables || { echo "the kernel module br_netfilter is missing: modprobe br_netfilter"; exit 1; }
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
echo 10 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait 2>/dev/null || true
echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range`
	return command(ctx, enter[0], append(enter[1:], "sh", "-c", script)...)
}

// foreignNetworks refuses to run where somebody else uses our addresses.
func foreignNetworks(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "-json", "address").Output()
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	return conflict(out)
}

// conflict looks for addresses in our networks in the output of `ip -json address`.
func conflict(addresses []byte) error {
	var links []struct {
		Name      string `json:"ifname"`
		Addresses []struct {
			Local string `json:"local"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(addresses, &links); err != nil {
		return fmt.Errorf("read the list of addresses: %w", err)
	}
	for _, link := range links {
		for _, a := range link.Addresses {
			address, err := netip.ParseAddr(a.Local)
			if err == nil && ours(address) && link.Name != hostLink {
				return fmt.Errorf("interface %s has %s, an address that the local cluster uses: take it down, or use CLUSTER=kind", link.Name, address)
			}
		}
	}
	return nil
}

func ours(address netip.Addr) bool {
	for _, network := range []string{nodeNetwork + "0/24", podCIDR, serviceCIDR} {
		if netip.MustParsePrefix(network).Contains(address) {
			return true
		}
	}
	return false
}

func networkExists() bool {
	_, namespace := os.Stat(NamespacePath)
	_, link := os.Stat("/sys/class/net/" + hostLink)
	return namespace == nil && link == nil
}

// networkDown is safe to call when there is nothing.
func networkDown(ctx context.Context) {
	_ = command(ctx, "ip", "link", "delete", hostLink)
	_ = command(ctx, "ip", "netns", "delete", Namespace)
	for deadline := time.Now().Add(2 * time.Second); networkExists() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
}

func ipBatch(ctx context.Context, enter, commands []string) error {
	argv := append(append([]string{}, enter...), "ip", "-batch", "-")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set up addresses and routes: %w: %s", err, out)
	}
	return nil
}

// command runs a program and puts what it said into the error.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
