//go:build !badrelease_unready && !badrelease_500

package run

// Releases that are bad on purpose exist to prove that they take no traffic.
const (
	neverReady = false
	alwaysFail = false
)
