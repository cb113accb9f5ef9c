//go:build badrelease_unready

package run

// This release never gets ready.
const (
	neverReady = true
	alwaysFail = false
)
