package operator

import (
	"strings"
	"testing"
)

// covers tells which rows of the register a test shows; hack/coverage reads it from the output of tests that passed.
func covers(t *testing.T, ids ...string) {
	t.Helper()
	t.Logf("covers %s", strings.Join(ids, " "))
}
