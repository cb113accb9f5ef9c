package cutover

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// The names of what the demo makes.
const (
	Namespace         = "englog-demo"
	Name              = "demo"
	OperatorNamespace = "englog-system"
	database          = "englog_demo"
)

// Options say how a cutover is run. The zero value of a field takes the default that its comment names.
type Options struct {
	Root             string        // the checkout; default: found from the working directory
	Rate             int           // requests per second; default 200
	ConfirmSeconds   int           // spec.rollout.confirmSeconds; default 10
	RetentionSeconds int           // spec.rollout.retentionSeconds; default 15
	Patience         time.Duration // for the instance to get ready, and for each cutover; default 5 minutes
	Seed             uint64        // of the load
	// KillOperatorAt kills the operator's process (SIGKILL) once, when the rollout is first seen in this step.
	KillOperatorAt v1alpha1.Step
	// Address (host:port) and Host are where load is sent; default: the live API Service.
	Address, Host string
	// With are addons of the cluster, comma-separated, as `hack/cluster up --with` takes them.
	With string
	// Spec, if any, changes the sample's spec before it is applied.
	Spec func(*v1alpha1.EngLogInstanceSpec)
	// OperatorTags are build tags of the operator; none for the one that ships.
	OperatorTags string
	// OperatorManifest, if any, changes the manifest of config/default before it is applied.
	OperatorManifest func(string) string
	// During is called when the rollout is first seen in a step, from the watching goroutine; for tests that disturb.
	During func(v1alpha1.Step)
}

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.Root == "" {
		if o.Root, err = checkout(); err != nil {
			return o, err
		}
	}
	o.Rate = orDefault(o.Rate, 200)
	o.ConfirmSeconds = orDefault(o.ConfirmSeconds, 10)
	o.RetentionSeconds = orDefault(o.RetentionSeconds, 15)
	o.Patience = orDefault(o.Patience, 5*time.Minute)
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.Rate < 1:
		return fmt.Errorf("rate: %d is not a rate; give requests per second", o.Rate)
	case o.ConfirmSeconds < 1:
		return fmt.Errorf("confirm-seconds: %d is not a time; give at least 1", o.ConfirmSeconds)
	case o.RetentionSeconds < 15:
		return fmt.Errorf("retention-seconds: %d is too short; the API accepts 15 or more", o.RetentionSeconds)
	case o.KillOperatorAt != "" && !knownStep(o.KillOperatorAt):
		return fmt.Errorf("kill-operator: %q is not a step; use one of %v", o.KillOperatorAt, Path())
	}
	return nil
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}

// Path is the straight path of a cutover, without the rest at both ends.
func Path() []v1alpha1.Step {
	return []v1alpha1.Step{
		v1alpha1.StepPreparing, v1alpha1.StepMigrating, v1alpha1.StepScaling, v1alpha1.StepVerifying,
		v1alpha1.StepAwaitingPromotion, v1alpha1.StepSwitching, v1alpha1.StepConfirming, v1alpha1.StepHandover,
		v1alpha1.StepRetaining, v1alpha1.StepRetiring, v1alpha1.StepContracting,
	}
}

func knownStep(s v1alpha1.Step) bool {
	for _, k := range Path() {
		if k == s {
			return true
		}
	}
	return false
}

// checkout finds the root of the repository from the working directory.
func checkout() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "hack", "cluster", "main.go")); statErr == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("hack/cluster is not above the working directory: run this inside a checkout of the repository")
		}
	}
	return "", fmt.Errorf("finding the checkout: %w", err)
}
