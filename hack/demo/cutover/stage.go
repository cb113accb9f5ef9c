package cutover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/load"
)

// Stage is a cluster with the operator in it and the images of both versions loaded.
type Stage struct {
	*Cluster

	options  Options
	show     Show
	database string // URI of the instance's database
	unlock   func()
}

// Raise brings the cluster up, builds and loads the images and deploys the operator. All of it is quick when it has been
// done before.
func Raise(ctx context.Context, o Options, show Show) (*Stage, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(o.Root, ".cache", "demo")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, fmt.Errorf("making a place for the builds: %w", err)
	}
	s := &Stage{options: o, show: show}
	if s.unlock, err = alone(ctx, show); err != nil {
		return nil, err
	}
	err = s.phase("Local Kubernetes cluster", func() (err error) {
		s.Cluster, err = clusterUp(ctx, o.Root, bin, o.With)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.deploy(ctx, bin); err != nil {
		return nil, err
	}
	return s, nil
}

// Close lets other demos and tests have the cluster.
func (s *Stage) Close() { s.unlock() }

func (s *Stage) deploy(ctx context.Context, bin string) error {
	programs := []program{service(VersionOld, ""), service(VersionNew, "nextrelease"), operator(s.options.OperatorTags)}
	binaries := make([]string, len(programs))
	err := s.phase("Build EngLog "+VersionOld+", EngLog "+VersionNew+" and the operator", func() (err error) {
		for n, p := range programs {
			if binaries[n], err = s.build(ctx, bin, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var reference string
	err = s.phase("Load the images into the cluster", func() (err error) {
		for n, p := range programs {
			if reference, err = s.load(ctx, binaries[n], p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.phase("Deploy the CRD and the operator", func() error {
		return s.explained(ctx, s.deployOperator(ctx, bin, reference, s.options.OperatorManifest))
	})
}

// phase shows how a part of the work begins and ends.
func (s *Stage) phase(what string, do func() error) error {
	end := s.show.Begin(what)
	err := do()
	end(err)
	return err
}

// explained adds to an error what the cluster says about it.
func (s *Stage) explained(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return fmt.Errorf("%w\n%s", err, s.explain(ctx))
}

// Install makes a fresh instance of the old version and waits until it is Ready. What an earlier run left is removed.
func (s *Stage) Install(ctx context.Context) error {
	return inOrder(ctx, s.Prepare, s.Apply)
}

// Prepare makes an empty namespace, database and Secret.
func (s *Stage) Prepare(ctx context.Context) error {
	return s.phase("Empty namespace, database and Secret", func() error {
		return inOrder(ctx, s.removeInstance, s.newDatabase, emptyCache, s.prepareNamespace)
	})
}

// Apply makes the instance and waits until it is Ready.
func (s *Stage) Apply(ctx context.Context) error {
	instance, err := newInstance(s.options)
	if err != nil {
		return err
	}
	return s.phase("EngLogInstance demo, version "+VersionOld+", until it is Ready", func() error {
		if err := s.apply(ctx, instance); err != nil {
			return err
		}
		return s.explained(ctx, s.awaitReady(ctx, instance.Generation))
	})
}

// Remove deletes the instance and waits until nothing of it is left.
func (s *Stage) Remove(ctx context.Context) error {
	return s.phase("Delete the instance", func() error { return s.removeInstance(ctx) })
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unseen is how long an instance may go without the operator's first word.
const unseen = time.Minute

// awaitReady waits for the Ready condition and shows on the way what the operator does.
func (s *Stage) awaitReady(ctx context.Context, generation int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Patience)
	defer cancel()
	silence := time.AfterFunc(unseen, cancel)
	defer silence.Stop()
	said := ""
	for i := range s.instances(ctx) {
		if i.Status.ObservedGeneration >= generation {
			silence.Stop()
			if holds(i, v1alpha1.ConditionReady) {
				return nil
			}
		}
		if now := progress(i); now != said {
			said = now
			s.show.Note("  %s", now)
		}
	}
	return fmt.Errorf("the instance did not get Ready; the last word was: %s", orDefault(said, "nothing"))
}

func progress(i *v1alpha1.EngLogInstance) string {
	if r := i.Status.Rollout; r != nil {
		return fmt.Sprintf("%-12s %s", r.Step, r.Message)
	}
	return "not seen by the operator yet"
}

// Journey writes one entry through the live Service and waits for its insight.
func (s *Stage) Journey(ctx context.Context) (*load.Journey, error) {
	var j *load.Journey
	err := s.phase("One entry and its insight, through the live Service", func() error {
		cfg, err := s.loadConfig(ctx)
		if err != nil {
			return err
		}
		if j, err = load.Travel(ctx, cfg); err != nil {
			return s.explained(ctx, err)
		}
		s.show.Note("  entry %s: %s %s after %.0f ms", j.EntryID, j.Insight, clip(string(j.Data), 90), j.InsightMs)
		return nil
	})
	return j, err
}

// loadConfig points the load at the live API Service, or where the options say.
func (s *Stage) loadConfig(ctx context.Context) (load.Config, error) {
	address, err := s.ServiceAddress(ctx, "api")
	return load.Config{
		Address: orDefault(s.options.Address, address), Host: orDefault(s.options.Host, Name+"-api."+Namespace), Rate: s.options.Rate, Sources: Sources(), Seed: s.options.Seed,
		Users: max(50, s.options.Rate/4),
	}, err
}

// ServiceAddress is the ClusterIP and port of a live Service of the demo's instance.
func (s *Stage) ServiceAddress(ctx context.Context, component string) (string, error) {
	var svc corev1.Service
	if err := s.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: Name + "-" + component}, &svc); err != nil {
		return "", fmt.Errorf("finding the live Service: %w", err)
	}
	if svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone || len(svc.Spec.Ports) == 0 {
		return "", errors.New("the live Service " + svc.Name + " has no cluster IP or port")
	}
	return svc.Spec.ClusterIP + ":" + strconv.Itoa(int(svc.Spec.Ports[0].Port)), nil
}

// Ports of the host's loopback where Expose makes the instance answer.
const (
	FrontendPort = "8080"
	APIPort      = "8081"
)

// Expose makes the live Services answer on the host's loopback until the cluster goes down.
func (s *Stage) Expose(ctx context.Context) error {
	for component, port := range map[string]string{"frontend": FrontendPort, "api": APIPort} {
		if _, err := s.output(ctx, s.tool, "expose", Namespace+"/"+Name+"-"+component+":80", port); err != nil {
			return err
		}
	}
	return nil
}
