package observe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/controllers/revision"
	"github.com/garnizeh/englog-operator/controllers/world"
)

// Keeper makes sure that the Secrets which the operator fills itself exist, and returns the key that digests are made with.
type Keeper interface {
	Keep(ctx context.Context, instance *v1alpha1.EngLogInstance, references []revision.Reference) (digestKey []byte, err error)
}

// Sources fill the Secrets of instances from somewhere else, beside the reconciles.
type Sources interface {
	// Want says what an instance needs. It never waits.
	Want(instance *v1alpha1.EngLogInstance, references []revision.Reference)
	// Problem says why the last attempt failed; empty when it did not.
	Problem(key types.NamespacedName) string
	Forget(key types.NamespacedName)
}

// missingRefresh is how soon a reference that did not resolve is looked up again: nothing tells when a Secret is created, and a person is
// probably just doing so.
const missingRefresh = 5 * time.Second

// Secrets reads referenced Secrets one by one and past every cache, at most once in a refresh interval, and keeps only keyed digests of
// their values. A digest tells that a value has changed, and nothing else.
type Secrets struct {
	live    client.Reader
	keeper  Keeper
	refresh time.Duration
	now     func() time.Time
	wake    func(types.NamespacedName)
	sources Sources

	mu    sync.Mutex
	known map[types.NamespacedName]*digests
}

// digests is what is known about one instance's references.
type digests struct {
	instance   *v1alpha1.EngLogInstance
	references []revision.Reference
	values     map[string]string // by revision.Reference.ID
	readAt     time.Time
	missing    []string
	conflict   *world.Problem
}

// Conflict is an error of a Keeper that a person has to solve: a Secret has a name of ours and is not ours, or holds what cannot be used.
type Conflict interface {
	error
	Reason() string
}

// NewSecrets returns a reader of Secrets that calls wake when a digest changes.
func NewSecrets(live client.Reader, keeper Keeper, refresh time.Duration, now func() time.Time, wake func(types.NamespacedName)) *Secrets {
	return &Secrets{live: live, keeper: keeper, refresh: refresh, now: now, wake: wake, known: map[types.NamespacedName]*digests{}}
}

// From makes sources fill Secrets; without, only people and other tools do.
func (s *Secrets) From(sources Sources) { s.sources = sources }

// Expire makes what is known about an instance due to be read again.
func (s *Secrets) Expire(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.known[key]; d != nil {
		d.readAt = time.Time{}
	}
}

// Digest fills in which keys exist and what is missing, and returns the digests of the references that pods will get. It reads the Secrets when the references are new;
// else it answers from what the last refresh has seen.
func (s *Secrets) Digest(ctx context.Context, w *world.World, references []revision.Reference) (map[string]string, error) {
	instance, key := w.Instance, client.ObjectKeyFromObject(w.Instance)
	s.ask(w, references)
	s.mu.Lock()
	d := s.known[key]
	s.mu.Unlock()
	if d == nil || !slices.EqualFunc(d.references, references, sameReference) {
		fresh, err := s.read(ctx, instance, references)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.known[key], d = fresh, fresh
		s.mu.Unlock()
	}
	w.Keys = map[string]bool{}
	for id := range d.values {
		w.Keys[id] = true
	}
	return d.answer(w), nil
}

// ask tells the sources what is needed, and tells what went wrong there: as the cause of what is missing, or as a warning while the last
// copy is in use.
func (s *Secrets) ask(w *world.World, references []revision.Reference) {
	if s.sources == nil {
		return
	}
	s.sources.Want(w.Instance, references)
	if problem := s.sources.Problem(client.ObjectKeyFromObject(w.Instance)); problem != "" {
		w.Warnings = append(w.Warnings, world.Problem{Reason: "SecretSourceFailed", Message: problem})
	}
}

func sameReference(a, b revision.Reference) bool {
	return a.Secret == b.Secret && a.Key == b.Key && a.Choice == b.Choice && a.Form == b.Form
}

// answer keeps the digests of what is chosen: an unused alternative that changes is no change.
func (d *digests) answer(w *world.World) map[string]string {
	chosen, missing := revision.Choose(d.references, revision.Keys(d.values))
	used := map[string]string{}
	if d.conflict != nil {
		w.Conflicts = append(w.Conflicts, *d.conflict)
		return used
	}
	for _, r := range chosen {
		if v, ok := d.values[r.ID()]; ok {
			used[r.ID()] = v
		}
	}
	for _, m := range missing {
		w.Missing = append(w.Missing, world.Problem{Reason: "ReferenceMissing", Message: m})
	}
	for _, p := range w.Warnings {
		if p.Reason == "SecretSourceFailed" && len(missing) > 0 {
			w.Missing = append([]world.Problem{p}, w.Missing...)
		}
	}
	return used
}

// Forget drops what is known about an instance that is gone.
func (s *Secrets) Forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, key)
	if s.sources != nil {
		s.sources.Forget(key)
	}
}

// read gets every referenced Secret once.
func (s *Secrets) read(ctx context.Context, instance *v1alpha1.EngLogInstance, references []revision.Reference) (*digests, error) {
	digestKey, err := s.keeper.Keep(ctx, instance, references)
	var conflict Conflict
	if errors.As(err, &conflict) { // looked at again soon, as what is missing is
		problem := &world.Problem{Reason: conflict.Reason(), Message: conflict.Error()}
		return &digests{instance: instance, references: references, readAt: s.now(), missing: []string{problem.Message}, conflict: problem}, nil
	}
	if err != nil {
		return nil, err
	}
	d := &digests{instance: instance, references: references, values: map[string]string{}, readAt: s.now()}
	for name, keys := range bySecret(references) {
		secret := &corev1.Secret{}
		err := s.live.Get(ctx, types.NamespacedName{Namespace: instance.Namespace, Name: name}, secret)
		if apierrors.IsNotFound(err) {
			continue // revision.Choose tells what is missing
		}
		if err != nil {
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		}
		for _, k := range keys {
			if value, ok := secret.Data[k]; ok {
				d.values[name+"/"+k] = keyed(digestKey, value)
			}
		}
	}
	_, d.missing = revision.Choose(references, revision.Keys(d.values))
	return d, nil
}

func bySecret(references []revision.Reference) map[string][]string {
	keys := map[string][]string{}
	for _, r := range references {
		keys[r.Secret] = append(keys[r.Secret], r.Key)
	}
	return keys
}

func keyed(key, value []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(value) // hash.Hash never fails
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Start refreshes what is due until the context ends. Reconciles never wait for it; it wakes an instance only when something has changed.
func (s *Secrets) Start(ctx context.Context) error {
	tick := time.NewTicker(min(s.refresh, missingRefresh) / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, key := range s.due() {
				s.renew(ctx, key)
			}
		}
	}
}

// NeedLeaderElection says that only the leader refreshes.
func (s *Secrets) NeedLeaderElection() bool { return true }

func (s *Secrets) due() []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []types.NamespacedName
	for key, d := range s.known {
		wait := s.refresh
		if len(d.missing) > 0 {
			wait = min(wait, missingRefresh)
		}
		if s.now().Sub(d.readAt) >= wait {
			keys = append(keys, key)
		}
	}
	return keys
}

// renew reads again. A read that fails changes nothing: what was known stays known until it succeeds.
func (s *Secrets) renew(ctx context.Context, key types.NamespacedName) {
	s.mu.Lock()
	old := s.known[key]
	s.mu.Unlock()
	if old == nil {
		return
	}
	fresh, err := s.read(ctx, old.instance, old.references)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != old {
		return // a reconcile was faster
	}
	if err != nil {
		old.readAt = s.now()
		return
	}
	s.known[key] = fresh
	if !maps.Equal(old.values, fresh.values) {
		s.wake(key)
	}
}
