// Package api speaks HTTP: the journal's JSON interface under /api/v1, its
// OpenAPI document and its readable documentation.
//
// What it needs of the other packages it says as interfaces. It must never
// import a database driver, a Redis client, package store, package redisx or
// package web. problem.go is the only place that turns an error into a status.
package api
