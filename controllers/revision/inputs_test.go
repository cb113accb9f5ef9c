package revision

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
)

// Each field of the spec is in exactly one of these lists, by its path or that of a group it is in; the longest path decides.
var (
	revisionInputs = []string{
		"version", "environment", "image",
		"api", "worker", "frontend",
		"database", "cache", "auth", "ai", "secrets", "features", "config", "mail", "tracing",
		"exposure.rateLimit.requestsPerSecond", "monitoring.metrics",
	}
	inPlaceInputs = []string{
		"api.replicas", "worker.replicas", "frontend.replicas",
		"api.autoscaling", "worker.autoscaling", "frontend.autoscaling",
		"api.serviceAccount.annotations", "worker.serviceAccount.annotations", "frontend.serviceAccount.annotations",
		"database.managed", "cache.managed",
		"secrets.awsSecretsManager", "secrets.generate", "secrets.rotation",
		"exposure.type", "exposure.ingress", "exposure.gateway", "exposure.hosts", "exposure.frontendHosts", "exposure.previewHost",
		"exposure.tls", "exposure.httpsRedirect", "exposure.rateLimit.enforcement", "exposure.ipFamilyPolicy", "exposure.ipFamilies",
		"rollout", "restartToken", "reconciliation", "activity", "networkPolicy",
		"monitoring.mode", "monitoring.labels", "monitoring.intervalSeconds", "monitoring.alerts",
	}
)

// decision is the longest path in a list that covers the field; empty when none does.
func decision(list []string, field string) string {
	best := ""
	for _, path := range list {
		if (field == path || strings.HasPrefix(field, path+".")) && len(path) > len(best) {
			best = path
		}
	}
	return best
}

// The groups that are listed field by field, so that a new field in them is noticed.
var listedByField = []string{"", "exposure", "exposure.rateLimit", "monitoring"}

// A new field that nobody has thought about must fail here, and a field in a list must behave as that list says.
func TestEveryFieldIsDecided(t *testing.T) {
	seen := map[string]bool{}
	walk(reflect.TypeFor[v1alpha1.EngLogInstanceSpec](), nil, "", func(index []step, path string) {
		r, p := decision(revisionInputs, path), decision(inPlaceInputs, path)
		seen[r], seen[p] = true, true
		if r == "" && p == "" || r == p {
			t.Errorf("%s is in neither list: decide whether a change of it replaces the pods by a cutover", path)
			return
		}
		if got, want := moves(t, index), len(r) > len(p); got != want {
			t.Errorf("%s: a change makes a new revision: %t, want %t", path, got, want)
		}
	})
	for _, entry := range slices.Concat(revisionInputs, inPlaceInputs) {
		if !seen[entry] {
			t.Errorf("%s is listed but is no field of the spec any more", entry)
		}
	}
	for _, group := range listedByField {
		if group != "" && slices.Contains(slices.Concat(revisionInputs, inPlaceInputs), group) {
			t.Errorf("%s must be listed field by field", group)
		}
	}
}

// moves reports whether the inputs change when one leaf of an otherwise equal spec does.
func moves(t *testing.T, index []step) bool {
	t.Helper()
	before, after := base(), base()
	reach(reflect.ValueOf(&before).Elem(), index)
	leaf := reach(reflect.ValueOf(&after).Elem(), index)
	change(leaf)
	return string(inputs(t, before)) != string(inputs(t, after))
}

func inputs(t *testing.T, s v1alpha1.EngLogInstanceSpec) []byte {
	t.Helper()
	out, err := Inputs(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func base() v1alpha1.EngLogInstanceSpec {
	return v1alpha1.EngLogInstanceSpec{Version: "1.0.0"}
}

// A step goes from a value to a part of it: a field, or the only element of a list.
type step struct {
	field   int
	element bool
}

// walk visits the leaves of our own types: everything that is not a struct of this API.
func walk(t reflect.Type, index []step, path string, visit func([]step, string)) {
	switch {
	case t.Kind() == reflect.Pointer:
		walk(t.Elem(), index, path, visit)
	case t.Kind() == reflect.Slice && ours(t.Elem()):
		walk(t.Elem(), append(slices.Clone(index), step{element: true}), path, visit)
	case t.Kind() == reflect.Struct && ours(t):
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			below := path
			if name != "" {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			walk(f.Type, append(slices.Clone(index), step{field: i}), below, visit)
		}
	default:
		visit(index, path)
	}
}

func ours(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[v1alpha1.EngLogInstanceSpec]().PkgPath()
}

// reach goes to a leaf, making pointers and elements on the way.
func reach(v reflect.Value, index []step) reflect.Value {
	for _, s := range index {
		v = settled(v)
		if s.element {
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			v = v.Index(0)
			continue
		}
		v = v.Field(s.field)
	}
	return v
}

func settled(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// change gives a leaf another value than it has.
func change(v reflect.Value) {
	switch v = settled(v); v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x").Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		changeFirst(v)
	default:
	}
}

// changeFirst changes the first field of a foreign struct that can be changed.
func changeFirst(v reflect.Value) {
	for i := range v.NumField() {
		if f := v.Field(i); f.CanSet() {
			before := f.IsZero()
			change(f)
			if !before || !f.IsZero() {
				return
			}
		}
	}
}

// The hash is part of names in people's clusters: a change of the algorithm would replace every pod.
func TestHashIsStable(t *testing.T) {
	spec := v1alpha1.EngLogInstanceSpec{Version: "1.2.3", Environment: v1alpha1.EnvironmentStaging}
	const encoded = `{"environment":"Staging","version":"1.2.3"}`
	if got := string(inputs(t, spec)); got != encoded {
		t.Errorf("inputs: got %s, want %s", got, encoded)
	}
	got := Hash([]byte(encoded), map[string]string{"journal-secrets/JWT_SECRET": "d1", "journal-secrets/DATABASE_URL": "d2"})
	if want := "6kmi4ubyg7"; got != want {
		t.Errorf("hash: got %s, want %s", got, want)
	}
}

func TestHashTellsApart(t *testing.T) {
	seen := map[string]string{}
	for name, h := range map[string]string{
		"nothing":         Hash(nil, nil),
		"inputs":          Hash([]byte("a"), nil),
		"a secret":        Hash([]byte("a"), map[string]string{"s/k": "1"}),
		"its content":     Hash([]byte("a"), map[string]string{"s/k": "2"}),
		"its name":        Hash([]byte("a"), map[string]string{"s/l": "1"}),
		"a moved border":  Hash([]byte("a"), map[string]string{"s/k1": ""}),
		"a second secret": Hash([]byte("a"), map[string]string{"s/k": "1", "s/m": "1"}),
	} {
		if len(h) != Length || strings.Trim(h, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%s: %q is not %d characters of [a-z2-7]", name, h, Length)
		}
		if other, twice := seen[h]; twice {
			t.Errorf("%s and %s have the same revision", name, other)
		}
		seen[h] = name
	}
}

// A spec that only names its number of pods is the spec that does not mention the component at all.
func TestEmptyGroupsVanish(t *testing.T) {
	plain, sized := base(), base()
	sized.API = &v1alpha1.APISpec{ComponentSpec: v1alpha1.ComponentSpec{Replicas: 5, ServiceAccount: &v1alpha1.ServiceAccountSpec{Annotations: map[string]string{"a": "b"}}}}
	sized.Worker = &v1alpha1.WorkerSpec{Autoscaling: &v1alpha1.WorkerAutoscalingSpec{TargetQueueAgeSeconds: 9}}
	sized.Secrets = &v1alpha1.SecretsSpec{}
	if a, b := string(inputs(t, plain)), string(inputs(t, sized)); a != b {
		t.Errorf("got %s, want %s", b, a)
	}
	if sized.API.Replicas != 5 {
		t.Error("Inputs changed the spec it was given")
	}
}
