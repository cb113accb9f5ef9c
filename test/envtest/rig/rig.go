package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const defaultNodes = 3

// Options chooses how a rig starts. The zero value is what most packages want.
type Options struct {
	// AddToScheme registers further types with the rig's client, for example v1alpha1.AddToScheme.
	AddToScheme func(*runtime.Scheme) error
	// CRDPaths are directories with CRDs beside config/crd/bases, which is always installed where it exists.
	CRDPaths []string
	// Nodes is how many fake nodes there are; 0 means defaultNodes.
	Nodes int
}

// A Rig is a running control plane.
type Rig struct {
	// Config reaches the API server as cluster administrator, without a client-side rate limit.
	Config *rest.Config
	// KubeConfig is the same as a file's content, for programs.
	KubeConfig []byte
	// Client reads straight from the API server; it has no cache.
	Client client.WithWatch
	Scheme *runtime.Scheme
	// Kubelet answers for the pods.
	Kubelet *Kubelet

	environment *envtest.Environment
	manager     *controllerManager
	dir         string
	stopKubelet context.CancelFunc
}

// Main starts a rig for a test package, runs its tests and stops the rig; it returns the exit code for os.Exit.
func Main(m *testing.M, options Options, rig **Rig) int {
	started, err := Start(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		return 1
	}
	*rig = started
	code := m.Run()
	if err := started.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		return 1
	}
	return code
}

// Start starts a control plane. It takes about 5 seconds, and minutes once per machine while the components are built.
func Start(options Options) (*Rig, error) {
	scheme, err := newScheme(options.AddToScheme)
	if err != nil {
		return nil, err
	}
	assets, err := assetsDirectory()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "englog-envtest-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the rig: %w", err)
	}
	r := &Rig{Scheme: scheme, dir: dir}
	if err := r.start(assets, options); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Rig) start(assets string, options Options) error {
	if err := r.startAPIServer(assets, options.CRDPaths); err != nil {
		return err
	}
	var err error
	if r.Client, err = client.NewWithWatch(r.Config, client.Options{Scheme: r.Scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if r.manager, err = startControllerManager(assets, r.dir, r.KubeConfig); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stopKubelet = cancel
	if r.Kubelet, err = startKubelet(ctx, r.Config, cmp.Or(options.Nodes, defaultNodes)); err != nil {
		return err
	}
	return r.awaitDefaultServiceAccount(ctx)
}

func (r *Rig) startAPIServer(assets string, crds []string) error {
	repository, err := repositoryRoot()
	if err != nil {
		return err
	}
	r.environment = &envtest.Environment{
		Scheme:                   r.Scheme,
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        append([]string{filepath.Join(repository, "config", "crd", "bases")}, crds...),
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	arguments := r.environment.ControlPlane.GetAPIServer().Configure()
	// The default is a /24: the 85th instance with three Services would never get an address.
	arguments.Set("service-cluster-ip-range", "10.96.0.0/16")
	// With the real controller-manager there are service accounts, so admission may ask for them, as in a cluster.
	arguments.Disable("disable-admission-plugins")
	if r.Config, err = r.environment.Start(); err != nil {
		return fmt.Errorf("start etcd and kube-apiserver: %w", err)
	}
	r.Config.QPS = -1
	r.KubeConfig = r.environment.KubeConfig
	return nil
}

// Stop ends everything that Start started, the API server before its store: without etcd it would wait for minutes.
func (r *Rig) Stop() error {
	var failures []error
	if r.stopKubelet != nil {
		r.stopKubelet()
	}
	if r.Kubelet != nil {
		r.Kubelet.wait()
	}
	if r.manager != nil {
		failures = append(failures, r.manager.stop())
	}
	if r.environment != nil {
		failures = append(failures, r.environment.Stop())
	}
	return errors.Join(append(failures, os.RemoveAll(r.dir))...)
}

func newScheme(add func(*runtime.Scheme) error) (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	adders := []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme}
	if add != nil {
		adders = append(adders, add)
	}
	for _, add := range adders {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return scheme, nil
}
