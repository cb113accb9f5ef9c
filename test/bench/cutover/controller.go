package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/garnizeh/englog-operator/hack/cluster/local"
	"github.com/garnizeh/englog-operator/hack/cluster/parts"
)

// argoController is Argo Rollouts' controller, built like the cluster's own parts.
var argoController = parts.Part{
	Name:     "argo-rollouts",
	Dir:      "test/bench/cutover/peers/argo-rollouts",
	Binaries: []parts.Binary{{Name: "rollouts-controller", Package: "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"}},
	Estimate: "4 minutes on two cores",
}

// argoCRDs of the module; experiments and cluster templates are there because the controller watches them.
var argoCRDs = []string{"analysis-run-crd", "analysis-template-crd", "cluster-analysis-template-crd", "experiment-crd", "rollout-crd"}

// newArgo builds the controller, installs its CRDs and starts it in the cluster's network namespace, under a user name of
// its own. Both go away with the bench.
func newArgo(ctx context.Context, b *bench) (*argo, error) {
	root, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	cache, err := parts.CacheDir()
	if err != nil {
		return nil, err
	}
	dir, err := parts.Store{Root: root, Cache: cache, Out: os.Stderr}.Ensure(ctx, argoController)
	if err != nil {
		return nil, err
	}
	if err := b.installCRDs(ctx, filepath.Join(root, argoController.Dir)); err != nil {
		return nil, err
	}
	return &argo{bench: b}, b.startController(ctx, filepath.Join(dir, "rollouts-controller"))
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w", name, args, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (b *bench) installCRDs(ctx context.Context, module string) error {
	source, err := output(ctx, module, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-rollouts")
	if err != nil {
		return err
	}
	apply, remove := []string{"apply", "--server-side"}, []string{"delete", "--ignore-not-found"}
	for _, name := range argoCRDs {
		file := filepath.Join(source, "manifests", "crds", name+".yaml")
		apply, remove = append(apply, "-f", file), append(remove, "-f", file)
	}
	if _, err := b.Kubectl(ctx, apply...); err != nil {
		return err
	}
	b.closers = append(b.closers, func() {
		if _, err := b.Kubectl(context.Background(), remove...); err != nil {
			b.say("removing Argo's CRDs: %v", err)
		}
	})
	return b.argoServed(ctx)
}

// argoServed waits until Argo's kinds can be used: a CRD that is there is not at once served, nor discovered by the client.
func (b *bench) argoServed(ctx context.Context) error {
	return until(ctx, time.Minute, "Argo's kinds to be served", func(ctx context.Context) (bool, error) {
		for _, kind := range []string{"Rollout", "AnalysisTemplate"} {
			list := &unstructured.UnstructuredList{}
			list.SetAPIVersion(argoGroup)
			list.SetKind(kind + "List")
			if err := b.List(ctx, list); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

func (b *bench) startController(ctx context.Context, binary string) error {
	config, err := b.kubeconfigAs(argoUser)
	if err != nil {
		return err
	}
	log, err := os.CreateTemp("", "cutover-bench-argo-*.log")
	if err != nil {
		return err
	}
	// nsenter and not a goroutine of ours: its servers must not listen on the host.
	cmd := exec.Command("nsenter", "--net="+local.NamespacePath, "--", binary, "--kubeconfig="+config, "--leader-elect=false", "--loglevel=warn",
		fmt.Sprintf("--healthzPort=%d", controllerHealth), "--metricsPort=18090")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting Argo's controller: %w", err)
	}
	b.closers = append([]func(){func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_, _, _ = log.Close(), os.Remove(config), os.Remove(log.Name())
	}}, b.closers...)
	err = until(ctx, time.Minute, "Argo's controller", controllerHealthy)
	if err != nil {
		words, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w; its last words: %s", err, words[max(0, len(words)-2000):])
	}
	return nil
}

const controllerHealth = 18080

func controllerHealthy(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(local.NodeIP, strconv.Itoa(controllerHealth))+"/healthz", nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// kubeconfigAs writes the administrator's kubeconfig with another user's name, so that the audit log tells them apart.
func (b *bench) kubeconfigAs(user string) (string, error) {
	config, err := clientcmd.LoadFromFile(b.Kubeconfig)
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	for _, info := range config.AuthInfos {
		info.Impersonate, info.ImpersonateGroups = user, []string{"system:masters"}
	}
	return b.write(config)
}

func (b *bench) write(config *clientcmdapi.Config) (string, error) {
	f, err := os.CreateTemp("", "cutover-bench-*.kubeconfig")
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return f.Name(), clientcmd.WriteToFile(*config, f.Name())
}
