package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// identity names one object.
type identity struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// header is the part of an object that every intent and every answer has.
type header struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
}

func identify(intent []byte) (identity, error) {
	var h header
	if err := json.Unmarshal(intent, &h); err != nil {
		return identity{}, fmt.Errorf("reading the intent's name: %w", err)
	}
	return identity{APIVersion: h.APIVersion, Kind: h.Kind, Namespace: h.Metadata.Namespace, Name: h.Metadata.Name}, nil
}

// state is what matters about an object's present content.
type state struct {
	exists  bool
	version string
	labels  map[string]string
	notes   map[string]string
	owners  []metav1.OwnerReference
	kept    bool
	// uid and generation tell which of two states of an object is the later one; lags is true for kinds whose cache may be behind our writes.
	uid        types.UID
	generation int64
	lags       bool
	// content digests what the operator has a say in, where the version moves with more than that; nil where it does not.
	content func() uint64
}

// KeptLabel marks objects that outlive their instance and are taken up again by one of the same name.
const KeptLabel = "englog.io/kept"

// adopted is true for objects of the instance, and for those that are kept for one of its name.
func (s state) adopted(uid types.UID) bool {
	for _, o := range s.owners {
		if o.UID == uid {
			return true
		}
	}
	return s.kept
}

// generational kinds have a generation that moves with their spec alone: their status changes all the time and means no drift.
var generational = map[string]bool{
	"Deployment": true, "StatefulSet": true, "PodDisruptionBudget": true, "Ingress": true, "NetworkPolicy": true, "Job": true,
	"HTTPRoute": true, "Middleware": true, "PodMonitor": true, "PrometheusRule": true,
}

// stateOf reads the state of an object. Where status shares the object, the generation or a digest of the spec stands for its content;
// else the resourceVersion does.
func stateOf(o metav1.Object, kind string) state {
	_, lags := optional[kind]
	s := state{
		exists: true, owners: o.GetOwnerReferences(), kept: o.GetLabels()[KeptLabel] != "", uid: o.GetUID(), generation: o.GetGeneration(), lags: lags,
	}
	spec, separate := specOf(o)
	switch {
	case generational[kind] && o.GetGeneration() > 0:
		s.version = fmt.Sprintf("%s/%d", o.GetUID(), o.GetGeneration())
	case separate:
		s.version = fmt.Sprintf("%s/%x", o.GetUID(), digest(spec))
	default:
		s.version = o.GetResourceVersion()
		return s
	}
	s.labels, s.notes = o.GetLabels(), o.GetAnnotations()
	if d, ok := o.(*appsv1.Deployment); ok {
		s.content = func() uint64 { return withoutReplicas(d) }
	}
	return s
}

// withoutReplicas digests a Deployment's spec without its replicas, which autoscalers, people and the operator's own scaling change.
func withoutReplicas(d *appsv1.Deployment) uint64 {
	spec := d.Spec
	spec.Replicas = nil
	encoded, err := json.Marshal(spec)
	if err != nil {
		return 0
	}
	return digest(encoded)
}

// specOf encodes the spec of kinds that have a busy status and no generation.
func specOf(o metav1.Object) ([]byte, bool) {
	var spec any
	switch o := o.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		spec = o.Spec
	case *corev1.PersistentVolumeClaim:
		spec = o.Spec.Resources
	case *corev1.Service:
		spec = o.Spec
	default:
		return nil, false
	}
	encoded, err := json.Marshal(spec)
	return encoded, err == nil
}

func readState(id identity, answer []byte) (state, error) {
	o := empty(id.Kind)
	if err := json.Unmarshal(answer, o); err != nil {
		return state{}, fmt.Errorf("reading the answer's metadata: %w", err)
	}
	return stateOf(o, id.Kind), nil
}

// optional are the kinds that not every cluster knows. Where one does, the caches hold their metadata.
var optional = map[string]schema.GroupVersion{
	"Middleware":     {Group: "traefik.io", Version: "v1alpha1"},
	"PodMonitor":     {Group: "monitoring.coreos.com", Version: "v1"},
	"PrometheusRule": {Group: "monitoring.coreos.com", Version: "v1"},
}

// empty returns an object of a kind in the form in which the caches hold it, so that reads come from the same one as everybody else's.
func empty(kind string) client.Object {
	if version, is := optional[kind]; is {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(version.WithKind(kind))
		return o
	}
	if o, is := typed[kind]; is {
		return o.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy is of the type that it was copied from
	}
	return nil
}

// typed are the kinds that every cluster knows, and HTTPRoutes, which are read in whole.
var typed = map[string]client.Object{
	"Deployment":              &appsv1.Deployment{},
	"StatefulSet":             &appsv1.StatefulSet{},
	"ControllerRevision":      &appsv1.ControllerRevision{},
	"Service":                 &corev1.Service{},
	"ConfigMap":               &corev1.ConfigMap{},
	"ServiceAccount":          &corev1.ServiceAccount{},
	"PersistentVolumeClaim":   &corev1.PersistentVolumeClaim{},
	"HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
	"PodDisruptionBudget":     &policyv1.PodDisruptionBudget{},
	"Job":                     &batchv1.Job{},
	"NetworkPolicy":           &networkingv1.NetworkPolicy{},
	"Ingress":                 &networkingv1.Ingress{},
	"HTTPRoute":               &gatewayv1.HTTPRoute{},
}

func read(ctx context.Context, c client.Reader, id identity) (state, error) {
	o := empty(id.Kind)
	if o == nil {
		return state{}, fmt.Errorf("kind %s is none that the operator makes", id.Kind)
	}
	err := c.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, o)
	switch {
	case apierrors.IsNotFound(err):
		return state{}, nil
	case err != nil:
		return state{}, fmt.Errorf("reading %s %s: %w", id.Kind, id.Name, err)
	default:
		return stateOf(o, id.Kind), nil
	}
}

// memory knows, for each object, the last intent that was applied and the state that it led to.
type memory struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]map[identity]entry
}

type entry struct {
	intent  uint64
	content uint64
	state   state
}

func digest(intent []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(intent) // hash.Hash never fails
	return h.Sum64()
}

// compare says whether the object still is what the same intent led to (Unchanged), was changed by somebody else (Repaired, once it is
// written), or is to become something new (Changed).
func (m *memory) compare(instance *v1alpha1.EngLogInstance, id identity, intent []byte, current state) Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := m.entries[client.ObjectKeyFromObject(instance)]
	e, known := entries[id]
	if !known || e.intent != digest(intent) {
		return Changed
	}
	if current.exists && current.version != e.state.version && current.content != nil && current.content() == e.content {
		e.state.version = current.version
		entries[id] = e
	}
	if e.state.same(current) || e.state.newerThan(current) {
		return Unchanged
	}
	return Repaired
}

// newerThan is true for a state that was written after one that a lagging cache still shows. Only kinds that are written without waiting for
// their cache have to ask.
func (s state) newerThan(now state) bool {
	return s.lags && now.exists && s.uid == now.uid && now.generation < s.generation
}

// same compares states; foreign labels and annotations that came later do not count, ours that went missing do.
func (s state) same(now state) bool {
	return now.exists && s.version == now.version && holds(now.labels, s.labels) && holds(now.notes, s.notes) && len(s.owners) == len(now.owners)
}

// holds is true when all still has what was there, apart from what controllers keep on rewriting.
func holds(all, was map[string]string) bool {
	for k, v := range was {
		if k == "deployment.kubernetes.io/revision" {
			continue
		}
		if all[k] != v {
			return false
		}
	}
	return true
}

func (m *memory) keep(instance *v1alpha1.EngLogInstance, id identity, intent []byte, s state) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := client.ObjectKeyFromObject(instance)
	if m.entries == nil {
		m.entries = map[types.NamespacedName]map[identity]entry{}
	}
	if m.entries[key] == nil {
		m.entries[key] = map[identity]entry{}
	}
	s.labels, s.notes = maps.Clone(s.labels), maps.Clone(s.notes)
	e := entry{intent: digest(intent), state: s}
	if s.content != nil {
		e.content = s.content()
	}
	e.state.content = nil // it would hold on to the whole object
	m.entries[key][id] = e
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}
