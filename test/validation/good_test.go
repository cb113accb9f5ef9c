package validation

import (
	"testing"
)

func TestBaseIsAccepted(t *testing.T) {
	if err := submit(t, patched(t, "{}")); err != nil {
		t.Fatal(err)
	}
}
