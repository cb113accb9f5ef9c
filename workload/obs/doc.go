// Package obs makes the service observable: structured logs, metrics and traces.
//
// Nothing that a user wrote and no credential may reach any of them. The package
// must never import a database driver, a Redis client or any other package of
// the workload.
package obs
