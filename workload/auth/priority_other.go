//go:build !linux

package auth

// standBehind knows no priorities here.
func standBehind() {}

func onFirstThread() bool { return false }
