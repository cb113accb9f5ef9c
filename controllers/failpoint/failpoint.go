//go:build !failpoints

// Package failpoint marks the moments before and after a named write of the operator: of a child, or of the status. In a crash test's
// build a process can be told to die there; in every other build the marks are nothing.
//
// It must never import anything of the operator.
package failpoint

// Before marks the moment before a write.
func Before(string) {}

// After marks the moment after a write that succeeded.
func After(string) {}
