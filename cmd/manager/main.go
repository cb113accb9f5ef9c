// Command manager is the operator's process: flags, the manager, and the controller in it. It must never hold logic of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/garnizeh/englog-operator/controllers"
)

// settings are the flags.
type settings struct {
	metrics, health string
	leaderElection  bool
	leaderNamespace string
	lease           lease
	namespaces      string
	monitoring      string
	postgres        int
	controller      controllers.Options
	logLevel        slog.Level
	secureMetrics   bool
}

// lease says how quickly a leader that has died is followed by another, and how long one that is cut off goes on.
type lease struct{ duration, renew, retry time.Duration }

func (l *lease) flags(flags *flag.FlagSet) {
	flags.DurationVar(&l.duration, "leader-elect-lease-duration", 15*time.Second, "how long a leader that has gone silent is waited for")
	flags.DurationVar(&l.renew, "leader-elect-renew-deadline", 10*time.Second, "how long a leader tries to renew its lease before it gives up; less than the lease's duration")
	flags.DurationVar(&l.retry, "leader-elect-retry-period", 2*time.Second, "how often the lease is tried for and renewed")
}

func main() {
	s := parse(flag.CommandLine, os.Args[1:])
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: s.logLevel})))
	if err := run(ctrl.SetupSignalHandler(), s); err != nil {
		ctrl.Log.Error(err, "the operator stops")
		os.Exit(1)
	}
}

func parse(flags *flag.FlagSet, args []string) settings {
	var s settings
	flags.StringVar(&s.metrics, "metrics-bind-address", ":8080", "where metrics are served; 0 for nowhere")
	flags.StringVar(&s.health, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served")
	flags.BoolVar(&s.leaderElection, "leader-elect", true, "elect one leader among several operators")
	flags.StringVar(&s.leaderNamespace, "leader-election-namespace", "", "the namespace of the lease; default: the operator's own")
	s.lease.flags(flags)
	flags.StringVar(&s.namespaces, "namespaces", "", "comma-separated namespaces to watch; default: all")
	flags.IntVar(&s.controller.Concurrency, "concurrency", 10, "how many instances are reconciled at a time")
	flags.DurationVar(&s.controller.SecretRefresh, "secret-refresh", 5*time.Minute, "how often referenced Secrets are read again")
	flags.StringVar(&s.controller.Prometheus, "prometheus-url", "", "the Prometheus that checks of type Prometheus ask")
	flags.StringVar(&s.controller.Cluster.OperatorNamespace, "operator-namespace", os.Getenv("POD_NAMESPACE"), "the operator's own namespace, which network policies let in")
	flags.StringVar(&s.controller.AWSPrefix, "aws-secret-prefix", "", "what ids of AWS secrets must begin with where the operator asks as itself, with {namespace} for the instance's; default: it never does")
	flags.IntVar(&s.postgres, "managed-postgresql-major", 0, "the major version of PostgreSQL for Managed databases whose spec names none; default: the API's, 17")
	flags.StringVar(&s.monitoring, "monitoring-namespaces", "monitoring", "comma-separated namespaces that may read metrics")
	flags.BoolVar(&s.controller.Proxy, "proxy-probes", false, "send probes through the API server, for an operator outside of the cluster")
	flags.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	flags.BoolVar(&s.secureMetrics, "metrics-secure", true, "serve metrics over TLS, to those whom the API server lets read /metrics")
	_ = flags.Parse(args) // the flag set exits on errors
	return s
}

func run(ctx context.Context, s settings) error {
	namespaces := split(s.namespaces)
	s.controller.Cluster.MonitoringNamespaces = split(s.monitoring)
	if s.postgres != 0 && (s.postgres < 15 || s.postgres > 18) {
		return fmt.Errorf("managed-postgresql-major: %d is none of 15 to 18, the versions that the operator knows how to run", s.postgres)
	}
	s.controller.PostgresMajor = int32(s.postgres)
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                        scheme(),
		Cache:                         controllers.Caches(namespaces...),
		Client:                        client.Options{Cache: clientCache(namespaces)},
		Metrics:                       s.metricsOptions(),
		HealthProbeBindAddress:        s.health,
		LeaderElection:                s.leaderElection,
		LeaderElectionID:              "operator.englog.io",
		LeaderElectionNamespace:       s.leaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &s.lease.duration,
		RenewDeadline:                 &s.lease.renew,
		RetryPeriod:                   &s.lease.retry,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := controllers.Setup(ctx, mgr, s.controller); err != nil {
		return fmt.Errorf("setting the controller up: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding the liveness check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding the readiness check: %w", err)
	}
	return mgr.Start(ctx)
}

// metricsOptions protects the metrics as the API server protects its own.
func (s settings) metricsOptions() metricsserver.Options {
	opts := metricsserver.Options{BindAddress: s.metrics, SecureServing: s.secureMetrics}
	if s.secureMetrics {
		opts.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return opts
}

// clientCache makes reads wait for our own writes, so that no decision is made on a cache that lags behind them. With several
// namespaces the library cannot do that; then preconditions and epochs alone keep writes safe.
func clientCache(namespaces []string) *client.CacheOptions {
	consistent := len(namespaces) <= 1
	return &client.CacheOptions{EnableReadYourWritesConsistency: &consistent}
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(controllers.AddToScheme(s))
	return s
}

func split(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
