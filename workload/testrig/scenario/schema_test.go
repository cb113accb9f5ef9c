package scenario_test

import (
	"os"
	"testing"

	"github.com/garnizeh/englog-operator/workload/store"
	"github.com/garnizeh/englog-operator/workload/testrig"
	. "github.com/garnizeh/englog-operator/workload/testrig/scenario"
)

// When another release has made the schema, it is really another one.
func TestTheSchemaIsTheOneThatWasAskedFor(t *testing.T) {
	s := Start(t, Options{})
	schema, err := s.Store.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if newer := schema.Current > store.Level(); newer != (os.Getenv(testrig.MigratorVariable) != "") {
		t.Errorf("the schema is at level %d, this build at %d", schema.Current, store.Level())
	}
}
