// Package store keeps the journal in PostgreSQL: accounts, entries, tasks and
// insights, and the migrations of their schema.
//
// Every query names its columns, because a star query fails once on every
// pooled connection when another release adds a column. Nothing newer than
// PostgreSQL 15 is used. The package must never import a Redis client, package
// redisx, package ai or anything that speaks HTTP.
package store
