//go:build !failpoints

package apply

// failpoint marks the moments before and after a named write. Crash tests build it differently; here it is nothing.
func failpoint(string, bool) {}
