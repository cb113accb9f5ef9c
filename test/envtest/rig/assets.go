package rig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// assetsDirectory is where etcd, kube-apiserver and kube-controller-manager lie: $KUBEBUILDER_ASSETS, or what
// hack/cluster has built and cached.
func assetsDirectory() (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		built, err := buildAssets()
		if err != nil {
			return "", err
		}
		dir = built
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%s lacks %s (unset KUBEBUILDER_ASSETS to use what `go run ./hack/cluster assets` builds): %w", dir, name, err)
		}
	}
	return dir, nil
}

func buildAssets() (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	command := exec.Command("go", "run", "./hack/cluster", "assets")
	command.Dir = root
	command.Stderr = os.Stderr // progress: the first build takes minutes
	var stdout bytes.Buffer
	command.Stdout = &stdout
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("build the Kubernetes components (go run ./hack/cluster assets): %w", err)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// repositoryRoot is the directory with the product's go.mod, looked for from the working directory upwards.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module github.com/garnizeh/englog-operator\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of the operator above the working directory: run the tests in a checkout")
		}
		dir = filepath.Dir(dir)
	}
}
