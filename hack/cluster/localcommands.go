package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/garnizeh/englog-operator/hack/cluster/addons"
	"github.com/garnizeh/englog-operator/hack/cluster/debian"
	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

func localCommands() []command {
	return []command{
		{"up", "[--with " + strings.Join(addons.Names(), ",") + "]", "bring the cluster up, or repair it; builds and installs what is missing", up},
		{"down", "", "take the cluster down and leave nothing", down},
		{"status", "", "print whether each part is healthy; exit code 1 when one is not", status},
		{"kubeconfig", "", "print the kubeconfig's path", printKubeconfig},
		{"env", "", "print shell exports: KUBECONFIG, PATH, KUBEBUILDER_ASSETS, addresses", printEnv},
		{"load-image", loadArgs, loadHelp, loadImage},
		{"create-database", "NAME [--fresh]", "make a PostgreSQL role and database and print its URI; --fresh drops an earlier one", createDatabase},
		{"drop-database", "NAME", "drop a PostgreSQL database and its role", dropDatabase},
		{"expose", "NAMESPACE/SERVICE:PORT HOSTPORT", "make a Service answer on 127.0.0.1:HOSTPORT until down", expose},
		{"unexpose", "HOSTPORT", "end what expose began", unexpose},
		{"exec", "PROGRAM [ARGUMENT...]", "run a program in the cluster's network namespace", execute},
		{"kubectl", "[ARGUMENT...]", "run the cluster's kubectl as administrator", kubectl},
		{"forward", "TARGET HOSTPORT", "what expose runs in the background", forward},
		{addons.TargetsCommand, "", "what up --with prometheus runs in the background", scrapeTargets},
		{addons.ExternalCommand, "", "what up --with external runs in the background", externalMetrics},
	}
}

// cluster describes the local cluster with the parts that are built; those that are not have the place they will have.
func cluster() (*local.Cluster, parts.Store, error) {
	store, err := newStore()
	if err != nil {
		return nil, store, err
	}
	var dirs [4]string
	for i, p := range parts.All {
		if dirs[i], _, err = store.Find(p); err != nil {
			return nil, store, err
		}
	}
	return local.New(local.StateDir(), local.Parts{Kubernetes: dirs[0], Node: dirs[1], CoreDNS: dirs[2], Pause: dirs[3]}), store, nil
}

// running is the cluster, or says that it is not up.
func running() (*local.Cluster, error) {
	c, _, err := cluster()
	if err != nil {
		return nil, err
	}
	if !c.Formed() {
		return nil, fmt.Errorf("the cluster is not up: go run ./hack/cluster up")
	}
	return c, nil
}

// alone keeps two ups and downs from running at once.
func alone(store parts.Store) (func(), error) {
	return parts.Lock(filepath.Join(store.Cache, "cluster.lock"))
}

func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	with := flags.String("with", "", "comma-separated addons: "+strings.Join(addons.Names(), ","))
	if rest, err := interspersed(flags, args); err != nil || len(rest) > 0 {
		return usage("up takes no argument but --with")
	}
	if err := possible(); err != nil {
		return err
	}
	c, store, err := cluster()
	if err != nil {
		return err
	}
	unlock, err := alone(store)
	if err != nil {
		return err
	}
	defer unlock()
	wanted, err := wantedAddons(c, *with)
	if err != nil {
		return err
	}
	if err := prepare(ctx, store); err != nil {
		return err
	}
	if err := c.Up(ctx, os.Stderr); err != nil {
		return err
	}
	exposeServer(ctx, c)
	summary(c)
	return addons.Add(ctx, c, store, wanted)
}

// wantedAddons are those asked for and those that the cluster has.
func wantedAddons(c *local.Cluster, with string) ([]addons.Addon, error) {
	present, err := c.Addons()
	if err != nil {
		return nil, err
	}
	return addons.Parse(strings.Join(append(present, with), ","))
}

// prepare installs and builds what is missing.
func prepare(ctx context.Context, store parts.Store) error {
	wanted := [][]debian.Package{debian.Runtime}
	if _, built, err := store.Find(parts.Node); err != nil {
		return err
	} else if !built {
		wanted = append(wanted, debian.Compile)
	}
	if err := debian.Ensure(ctx, os.Stderr, wanted...); err != nil {
		return err
	}
	for _, p := range parts.All {
		if _, err := store.Ensure(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

const serverPort = 6443

// exposeServer is a convenience: the API server answers at its own address anyway.
func exposeServer(ctx context.Context, c *local.Cluster) {
	for _, port := range c.Exposed() {
		if port == serverPort {
			return
		}
	}
	if err := c.Expose(ctx, strings.TrimPrefix(local.Server, "https://"), serverPort); err != nil {
		fmt.Fprintf(os.Stderr, "note: 127.0.0.1:%d does not reach the API server: %v\n", serverPort, err)
	}
}

func summary(c *local.Cluster) {
	addresses := local.LoadAddresses()
	fmt.Fprintf(os.Stderr, `The cluster is up.
  kubeconfig       %s (API server %s, also 127.0.0.1:%d)
  PostgreSQL       %s (superuser postgres, password %s)
  Redis            %s
  load generators  may bind %s to %s
  logs             %s (audit.log: every API request)
  take it down     go run ./hack/cluster down
`, c.Kubeconfig(), local.Server, serverPort, local.Postgres, local.PostgresPassword, local.Redis,
		addresses[0], addresses[len(addresses)-1], c.Logs())
}

func down(ctx context.Context, _ []string) error {
	if err := possible(); err != nil {
		return err
	}
	c, store, err := cluster()
	if err != nil {
		return err
	}
	unlock, err := alone(store)
	if err != nil {
		return err
	}
	defer unlock()
	return c.Down(ctx)
}

func status(ctx context.Context, _ []string) error {
	c, err := running()
	if err != nil {
		return err
	}
	sick := 0
	for _, part := range c.Status(ctx) {
		state := "ok"
		if part.Err != nil {
			sick++
			state = "FAILED: " + part.Err.Error()
		}
		fmt.Printf("%-26s %s\n", part.Name, state)
	}
	for _, port := range c.Exposed() {
		fmt.Printf("%-26s ok\n", fmt.Sprintf("127.0.0.1:%d", port))
	}
	sick += addonStatus(ctx, c)
	if sick > 0 {
		return fmt.Errorf("%d parts are not healthy; go run ./hack/cluster up repairs them", sick)
	}
	return nil
}

// addonStatus prints whether the addons' programs are healthy, and counts those that are not.
func addonStatus(ctx context.Context, c *local.Cluster) int {
	names, _ := c.Addons()
	wanted, _ := addons.Parse(strings.Join(names, ","))
	sick := 0
	for _, a := range wanted {
		for _, p := range a.Programs {
			state := "ok"
			if err := c.CheckProgram(ctx, p); err != nil {
				sick++
				state = "FAILED: " + err.Error()
			}
			fmt.Printf("%-26s %s\n", p.Name, state)
		}
	}
	return sick
}

func printKubeconfig(context.Context, []string) error {
	c, err := running()
	if err != nil {
		return err
	}
	fmt.Println(c.Kubeconfig())
	return nil
}

func printEnv(context.Context, []string) error {
	c, err := running()
	if err != nil {
		return err
	}
	for _, line := range environment(c) {
		name, value, _ := strings.Cut(line, "=")
		fmt.Printf("export %s=%s\n", name, strconv.Quote(value))
	}
	return nil
}

func environment(c *local.Cluster) []string {
	return []string{
		"KUBECONFIG=" + c.Kubeconfig(),
		"KUBEBUILDER_ASSETS=" + c.Parts.Kubernetes,
		"PATH=" + c.Parts.Kubernetes + ":" + c.Parts.Node + ":" + os.Getenv("PATH"),
		"CLUSTER_POSTGRES=" + local.AdminURI(),
		"CLUSTER_REDIS=redis://" + local.Redis,
		"CLUSTER_AUDIT_LOG=" + c.AuditLog(),
		"CLUSTER_LOAD_ADDRESSES=" + strings.Join(local.LoadAddresses(), ","),
		"CONTAINERD_ADDRESS=" + c.Socket(),
		"CONTAINERD_NAMESPACE=k8s.io",
	}
}

func createDatabase(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("create-database", flag.ContinueOnError)
	fresh := flags.Bool("fresh", false, "drop an earlier database of this name first")
	names, err := interspersed(flags, args)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return usage("create-database wants one name")
	}
	c, err := running()
	if err != nil {
		return err
	}
	uri, err := c.CreateDatabase(ctx, names[0], *fresh)
	if err != nil {
		return err
	}
	fmt.Println(uri)
	return nil
}

func dropDatabase(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return usage("drop-database wants one name")
	}
	c, err := running()
	if err != nil {
		return err
	}
	return c.DropDatabase(ctx, args[0])
}

func expose(ctx context.Context, args []string) error {
	c, target, port, err := exposition(args)
	if err != nil {
		return err
	}
	return c.Expose(ctx, target, port)
}

func forward(ctx context.Context, args []string) error {
	c, target, port, err := exposition(args)
	if err != nil {
		return err
	}
	return c.Forward(ctx, target, port)
}

func scrapeTargets(ctx context.Context, _ []string) error {
	return addons.ServeTargets(ctx, local.New(local.StateDir(), local.Parts{}))
}

func externalMetrics(ctx context.Context, _ []string) error {
	return addons.ServeExternal(ctx, local.New(local.StateDir(), local.Parts{}))
}

// exposition needs no built parts and no checkout: the forwarder runs on when the checkout is gone.
func exposition(args []string) (*local.Cluster, string, int, error) {
	if len(args) != 2 {
		return nil, "", 0, usage("want a target and a port")
	}
	port, err := hostPort(args[1])
	return local.New(local.StateDir(), local.Parts{}), args[0], port, err
}

func hostPort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q: want a number from 1 to 65535", text)
	}
	return int(port), nil
}

func unexpose(_ context.Context, args []string) error {
	if len(args) != 1 {
		return usage("unexpose wants a port")
	}
	port, err := hostPort(args[0])
	if err == nil {
		local.New(local.StateDir(), local.Parts{}).Unexpose(port)
	}
	return err
}

func execute(_ context.Context, args []string) error {
	if len(args) == 0 {
		return usage("exec wants a program")
	}
	c, err := running()
	if err != nil {
		return err
	}
	return become(append([]string{"nsenter", "--net=" + local.NamespacePath, "--"}, args...), environment(c))
}

func kubectl(_ context.Context, args []string) error {
	c, err := running()
	if err != nil {
		return err
	}
	return become(append([]string{filepath.Join(c.Parts.Kubernetes, "kubectl")}, args...), environment(c))
}

// become replaces this program, so that signals and exit codes are the other's.
func become(argv, environment []string) error {
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, argv, override(os.Environ(), environment))
}

// override sets variables once each: programs differ in which of two equal names they believe.
func override(environment, with []string) []string {
	set := map[string]bool{}
	for _, line := range with {
		name, _, _ := strings.Cut(line, "=")
		set[name] = true
	}
	merged := slices.Clone(with)
	for _, line := range environment {
		if name, _, _ := strings.Cut(line, "="); !set[name] {
			merged = append(merged, line)
		}
	}
	return merged
}
