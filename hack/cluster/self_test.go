package main

import (
	"os"
	"slices"
	"testing"
)

// TestMain lets the test's binary be what up starts in the background: itself, under another name.
func TestMain(m *testing.M) {
	named := func(c command) bool { return c.name == os.Args[1] }
	if len(os.Args) > 1 && slices.ContainsFunc(commands(), named) {
		main()
		return
	}
	os.Exit(m.Run())
}
