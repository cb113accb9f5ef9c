// Package fuzz gives the operator instances at random that a real API server accepts, and looks for panics and for work that never ends. It must
// never be imported.
package fuzz

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/controllers/plan"
	"github.com/garnizeh/englog-operator/controllers/probe"
	"github.com/garnizeh/englog-operator/test/envtest/rig"
)

var cluster *rig.Rig

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(funcr.New(complaints.add, funcr.Options{}))
	var err error
	if cluster, err = rig.Start(rig.Options{AddToScheme: controllers.AddToScheme, CRDPaths: rig.GatewayCRDs()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop, err := startOperator()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	stop()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// A log counts what the operator logs as an error, by its cause.
type log struct {
	mu     sync.Mutex
	causes map[string]int
}

var complaints log

var cause = regexp.MustCompile(`"error"="((?:[^"\\]|\\.)*)"`)

// unlike are the parts of an error that differ from one instance to the next.
var unlike = regexp.MustCompile(`[-a-z0-9]*[0-9][-a-z0-9]*`)

func (l *log) add(_, args string) {
	m := cause.FindStringSubmatch(args)
	if m == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.causes == nil {
		l.causes = map[string]int{}
	}
	l.causes[unlike.ReplaceAllString(m[1], "…")]++
}

func (l *log) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, c := range slices.Sorted(maps.Keys(l.causes)) {
		all = append(all, fmt.Sprintf("%d times: %s", l.causes[c], c))
	}
	return all
}

// startOperator runs one operator on the rig, as cmd/manager would.
func startOperator() (stop func(), err error) {
	yes := true
	mgr, err := ctrl.NewManager(cluster.Config, ctrl.Options{
		Scheme: cluster.Scheme, Cache: controllers.Caches(), Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Setup(ctx, mgr, controllers.Options{Ask: answers{}}); err != nil {
		cancel()
		return nil, fmt.Errorf("setting the operator up: %w", err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = mgr.Start(ctx) }) // it ends with the context, which is no failure
	return func() { cancel(); ended.Wait() }, nil
}

// answers stands in for pods that are ready and say so: the rig's have no network.
type answers struct{}

// Ask implements probe.Asker.
func (answers) Ask(ctx context.Context, namespace, _ string, to plan.Address) (probe.Answer, error) {
	var o client.Object = &corev1.Service{}
	name := to.Service
	if to.Pod != "" {
		o, name = &corev1.Pod{}, to.Pod
	}
	if err := cluster.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, o); err != nil {
		return probe.Answer{}, fmt.Errorf("reading %s: %w", name, err)
	}
	revision := o.GetLabels()["englog.io/revision"]
	if s, ok := o.(*corev1.Service); ok {
		revision = s.Spec.Selector["englog.io/revision"]
	}
	return probe.Answer{Status: 200, Revision: revision, Body: fmt.Appendf(nil, `{"status":"ready","revision":%q}`, revision)}, nil
}
