// Package auth decides who is asking: passwords, access and refresh tokens,
// personal access tokens, login codes and the accounts behind them.
//
// It keeps nothing itself; what it needs of a database it says as an interface.
// It must never import a database driver, a Redis client or an HTTP router.
package auth
