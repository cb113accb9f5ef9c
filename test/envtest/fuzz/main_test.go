// Package fuzz gives the operator instances at random that a real API server accepts, and looks for panics and for work that never ends. It must
// never be imported.
package fuzz

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/garnizeh/englog-operator/controllers"
	"github.com/garnizeh/englog-operator/test/envtest/inprocess"
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
	stop, err := inprocess.Start(cluster.Config, cluster.Scheme, controllers.Options{Ask: inprocess.Network{Client: cluster.Client}})
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
