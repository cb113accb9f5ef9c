// Package run carries a serving process from its start to its end: listeners,
// readiness, retirement, drain and shutdown.
//
// It knows no role: what a role is made of comes in as an App. It must never
// import a database driver, a Redis client, package store, package queue or
// package api.
package run
