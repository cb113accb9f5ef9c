package addons

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

// Where the gateway answers; it is reachable from host, node and pods.
const (
	GatewayURL     = "http://" + local.NodeIP
	gatewayHealth  = local.NodeIP + ":9082"
	gatewayModules = "hack/cluster/addons/traefik"
)

// gateway is Traefik, as Ingress controller of class traefik and as implementation of the Gateway API.
var gateway = Addon{
	Name:     "gateway",
	Programs: []local.Program{{Name: "traefik", Health: "http://" + gatewayHealth + "/ping"}},
	Says:     "Traefik: " + GatewayURL + " (and :443) for Ingresses of class traefik and routes of Gateway gateway/local",
	Parts: []parts.Part{{
		Name: "traefik",
		Dir:  gatewayModules,
		Binaries: []parts.Binary{{Name: "traefik", Package: "github.com/traefik/traefik/v3/cmd/traefik", Stamp: []parts.Stamped{
			{Variable: "github.com/traefik/traefik/v3/pkg/version.Version", Module: "github.com/traefik/traefik/v3", Trim: "v"},
		}}},
		Estimate: "5 to 9 minutes on two cores",
	}},
	Definitions: []Definitions{
		{Dir: gatewayModules, Module: "sigs.k8s.io/gateway-api", Path: "config/crd/standard"},
		{Dir: gatewayModules, Module: "github.com/traefik/traefik/v3", Path: "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"},
	},
	start: startGateway,
}

// startGateway runs Traefik on the node, from where it reaches pods as one in a pod would. What it believes it reads from the API server.
func startGateway(ctx context.Context, c *local.Cluster, a Addon, dirs []string) error {
	manifest, err := render("gateway.yaml")
	if err != nil {
		return err
	}
	if err := c.Apply(ctx, manifest); err != nil {
		return err
	}
	err = c.Run(ctx, a.program("traefik",
		"env", "KUBECONFIG="+c.Kubeconfig(), filepath.Join(dirs[0], "traefik"),
		"--entrypoints.web.address="+local.NodeIP+":80", "--entrypoints.websecure.address="+local.NodeIP+":443",
		"--entrypoints.health.address="+gatewayHealth, "--ping=true", "--ping.entrypoint=health",
		"--providers.kubernetesingress=true", "--providers.kubernetesingress.ingressendpoint.ip="+local.NodeIP,
		"--providers.kubernetescrd=true",
		"--providers.kubernetesgateway=true", "--providers.kubernetesgateway.statusaddress.ip="+local.NodeIP,
		"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=WARN"))
	if err != nil {
		return err
	}
	return c.Await(ctx, "/apis/gateway.networking.k8s.io/v1/namespaces/gateway/gateways/local", "Programmed")
}

// Definitions are custom resource definitions that a module brings.
type Definitions struct {
	Dir    string // of the nested module that requires it, relative to the repository's root
	Module string
	Path   string // a file, or a directory of files, in the module
}

// apply brings them to the cluster and waits until the API server serves them.
func (d Definitions) apply(ctx context.Context, c *local.Cluster, root string) error {
	dir, err := moduleDir(ctx, filepath.Join(root, d.Dir), d.Module)
	if err != nil {
		return err
	}
	manifest, err := manifests(filepath.Join(dir, d.Path))
	if err != nil {
		return fmt.Errorf("read the definitions of %s: %w", d.Module, err)
	}
	if err := c.Apply(ctx, manifest); err != nil {
		return err
	}
	for _, name := range definitionNames(manifest) {
		if err := c.Await(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+name, "Established"); err != nil {
			return err
		}
	}
	return nil
}

// moduleDir is where the module cache has a module, at the version that the go.mod in dir requires.
func moduleDir(ctx context.Context, dir, module string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", module, err, strings.TrimSpace(stderr.String()))
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(stdout.Bytes(), &found); err != nil {
		return "", fmt.Errorf("read what go says of %s: %w", module, err)
	}
	return found.Dir, nil
}

// manifests joins a file, or those of a directory, to one text of several documents.
func manifests(path string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(path, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		files = []string{path}
	}
	if len(files) == 0 {
		return nil, errors.New(path + " holds no manifest")
	}
	var all []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(append(all, "---\n"...), content...)
		all = append(all, '\n')
	}
	return all, nil
}

// definitionNames are the names of the objects, which are indented by two below metadata.
func definitionNames(manifest []byte) []string {
	var names []string
	meta := false
	for line := range strings.Lines(string(manifest)) {
		switch name, is := strings.CutPrefix(line, "  name: "); {
		case is && meta:
			names = append(names, strings.TrimSpace(name))
		case !strings.HasPrefix(line, " "):
			meta = strings.HasPrefix(line, "metadata:")
		}
	}
	return names
}
