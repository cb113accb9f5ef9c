//go:build badrelease_500 && !badrelease_unready

package run

// This release is ready, and fails every request to the API.
const (
	neverReady = false
	alwaysFail = true
)
