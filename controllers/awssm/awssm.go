// Package awssm copies a secret of AWS Secrets Manager into the Secret of an instance, for specs with secrets.type AWSSecretsManager. It
// runs beside the reconciles, which never wait for AWS, and what it copies is then read like any Secret that a person fills.
//
// It must never log, return in an error, or keep longer than a copy takes a value that it has read; and must never import plan, guard,
// render, apply or report.
package awssm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
)

const (
	// patience bounds one copy: tokens, AWS and the write.
	patience = 20 * time.Second
	// firstBackoff doubles with each failure in a row, up to lastBackoff.
	firstBackoff = 5 * time.Second
	lastBackoff  = 5 * time.Minute
	tick         = time.Second
)

// Options are what a Copier needs.
type Options struct {
	// Client reads and writes Secrets and asks for tokens; it must not be one that caches Secrets.
	Client client.Client
	// Prefix is what secret ids have to begin with where the operator asks AWS as itself. It holds {namespace}, for the namespace of the
	// instance; empty for never.
	Prefix string
	// Endpoint replaces the addresses of AWS; for tests and for private endpoints.
	Endpoint string
	// Changed is called when a Secret was written, Wake when what Problem says has changed.
	Changed, Wake func(types.NamespacedName)
	Now           func() time.Time
}

// CheckPrefix refuses a prefix that would let one namespace ask for the secrets of another.
func CheckPrefix(prefix string) error {
	if prefix != "" && !strings.Contains(prefix, "{namespace}/") {
		return fmt.Errorf("the prefix %q does not hold {namespace}/: every namespace could read the secrets of all others; write it as englog/{namespace}/", prefix)
	}
	return nil
}

// Copier copies what instances want.
type Copier struct {
	options Options

	mu    sync.Mutex
	known map[types.NamespacedName]*source
}

// source is one instance's secret at AWS and what became of the last copy.
type source struct {
	instance *v1alpha1.EngLogInstance
	spec     v1alpha1.AWSSecretsManager
	keys     map[string]bool
	dueAt    time.Time
	failures int
	problem  string
}

// New returns a Copier that does nothing until it is started.
func New(options Options) *Copier {
	return &Copier{options: options, known: map[types.NamespacedName]*source{}}
}

// Want says what an instance needs: the keys of its own Secret among the references. An instance whose Secret is filled by others is
// forgotten. It never waits.
func (c *Copier) Want(instance *v1alpha1.EngLogInstance, references []revision.Reference) {
	key := client.ObjectKeyFromObject(instance)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := instance.Spec.Secrets; s == nil || s.Type != v1alpha1.SecretsAWSSecretsManager {
		delete(c.known, key)
		return
	}
	spec := instance.Resolve().Secrets
	wanted := &source{instance: instance, spec: *spec.AWSSecretsManager, keys: keysOf(instance.InstanceSecretName(), references), dueAt: c.options.Now()}
	if was := c.known[key]; was != nil && was.spec == wanted.spec && sameKeys(was.keys, wanted.keys) && was.instance.UID == instance.UID {
		was.instance = instance
		return
	}
	c.known[key] = wanted
}

// Forget drops an instance that is gone.
func (c *Copier) Forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, key)
}

// Problem says why the last copy for an instance failed; empty when it did not.
func (c *Copier) Problem(key types.NamespacedName) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.known[key]; s != nil {
		return s.problem
	}
	return ""
}

// keysOf are the keys that a spec needs of a Secret, without those that would change how a program runs if they ever became variables.
func keysOf(secret string, references []revision.Reference) map[string]bool {
	keys := map[string]bool{}
	for _, r := range references {
		if r.Secret == secret && !reserved(r.Key) {
			keys[r.Key] = true
		}
	}
	return keys
}

// reserved are names that must never come from a secret store.
func reserved(name string) bool {
	return name == "PATH" || name == "ENVIRONMENT" || strings.HasPrefix(name, "LD_")
}

func sameKeys(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// NeedLeaderElection says that only the leader copies.
func (c *Copier) NeedLeaderElection() bool { return true }

// Start copies what is due until the context ends.
func (c *Copier) Start(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.round(ctx)
		}
	}
}

// round copies for every instance that is due, side by side: one that hangs holds up none.
func (c *Copier) round(ctx context.Context) {
	var all sync.WaitGroup
	for key, s := range c.due() {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			changed, err := c.copy(ctx, s)
			c.record(key, s, changed, err)
		})
	}
	all.Wait()
}

func (c *Copier) due() map[types.NamespacedName]*source {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := map[types.NamespacedName]*source{}
	for key, s := range c.known {
		if !c.options.Now().Before(s.dueAt) {
			list[key] = s
		}
	}
	return list
}

// record arranges the next copy and tells what is new.
func (c *Copier) record(key types.NamespacedName, s *source, changed bool, err error) {
	c.mu.Lock()
	before := s.problem
	wait := time.Duration(s.spec.RefreshIntervalSeconds) * time.Second
	if s.problem = ""; err != nil {
		s.problem = "spec.secrets.awsSecretsManager: " + clip(err.Error())
		wait = min(firstBackoff<<min(s.failures, 10), lastBackoff)
		s.failures++
	} else {
		s.failures = 0
	}
	s.dueAt = c.options.Now().Add(wait)
	news := s.problem != before
	c.mu.Unlock()
	if changed {
		c.options.Changed(key)
	}
	if news {
		c.options.Wake(key)
	}
}

func clip(s string) string {
	const limit = 512
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-3], "") + "..."
}
