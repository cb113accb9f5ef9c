package specs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/garnizeh/englog-operator/api/v1alpha1"
	"github.com/garnizeh/englog-operator/test/specs"
)

func load(t testing.TB) *specs.Schema {
	t.Helper()
	starts, err := filepath.Glob("../../config/samples/[^k]*.yaml") // all but the kustomization
	if err != nil {
		t.Fatal(err)
	}
	schema, err := specs.Load("../../config/crd/bases/englog.io_engloginstances.yaml", starts...)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// budget is how long the fuzz tests go on beyond their shortest run, from FUZZTIME, and seed where they begin, from SEED.
func budget(t testing.TB) (until time.Time, seed uint64) {
	t.Helper()
	if text := os.Getenv("FUZZTIME"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("FUZZTIME: %v", err)
		}
		until = time.Now().Add(d)
	}
	seed = 1
	if text := os.Getenv("SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		seed = n
	}
	return until, seed
}

// shortest is how many specs every run tries, which usually reach all fields, and longest how many it tries to reach them.
const shortest, longest = 250, 1000

// missed lists the fields that no spec has set.
func missed(schema *specs.Schema, reached map[string]int) []string {
	var fields []string
	for _, field := range schema.Fields() {
		if reached[field] == 0 {
			fields = append(fields, field)
		}
	}
	return fields
}

// No spec that the API server accepts makes the rooms that decide panic, contradict themselves or go round in circles, and all that they
// render has a name that Kubernetes takes.
func TestAcceptedSpecs(t *testing.T) {
	schema := load(t)
	until, seed := budget(t)
	reached := map[string]int{}
	tried := 0
	for ; tried < shortest || tried < longest && len(missed(schema, reached)) > 0 || time.Now().Before(until); tried++ {
		object := schema.Make(seed + uint64(tried))
		for _, path := range schema.Paths(object) {
			reached[path]++
		}
		if problem := examine(seed+uint64(tried), object); problem != nil {
			t.Fatalf("SEED=%d: %v\n%s", seed+uint64(tried), problem, text(object))
		}
	}
	left := missed(schema, reached)
	fields := len(schema.Fields())
	t.Logf("%d specs from seed %d reached %d of %d fields", tried, seed, fields-len(left), fields)
	if len(left) > 0 {
		t.Errorf("no spec has set %v", left)
	}
}

// examine does with a spec what the operator does, and returns what is wrong with the outcome; a panic is one.
func examine(seed uint64, object map[string]any) (problem error) {
	defer func() {
		if p := recover(); p != nil {
			problem = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	instance := &v1alpha1.EngLogInstance{}
	if err := specs.Into(object, instance); err != nil {
		return fmt.Errorf("the operator's caches could not read it, and with it no other instance: %w", err)
	}
	return decide(seed, instance)
}

// A generator that nothing refuses would prove nothing: what it walks over has to be refused too.
func TestRefusals(t *testing.T) {
	schema := load(t)
	for _, patch := range []string{`{version: latest}`, `{version: 1.0.0, environment: Staging, database: {type: Managed, external: {}}, cache: {type: Managed}}`, `{}`} {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(`{apiVersion: englog.io/v1alpha1, kind: EngLogInstance, metadata: {name: a}, spec: `+patch+`}`), &object); err != nil {
			t.Fatal(err)
		}
		if schema.Refusal(object) == nil {
			t.Errorf("%s is accepted", patch)
		}
	}
}

// The same seed gives the same spec: what fails can be replayed.
func TestSeedsReplay(t *testing.T) {
	schema := load(t)
	for seed := range uint64(5) {
		if a, b := text(schema.Make(seed)), text(schema.Make(seed)); a != b {
			t.Errorf("seed %d gives two specs", seed)
		}
	}
}

func text(object map[string]any) string {
	encoded, err := yaml.Marshal(object)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
