// Package queue moves tasks from PostgreSQL, which owns them, through a transport that only carries their ids, to the
// handlers of a worker, and back into PostgreSQL.
//
// The row is the truth. A message may be lost, doubled or late; a worker may die at any point; the transport may be wiped.
// Each costs time, never work: a claim takes a row only if it is free, every later write is fenced by the claim's
// token, and a sweep finds what nobody carries any more. state.go holds the rules as pure functions; package store
// implements them in SQL.
//
// The package must never import a database driver, a Redis client, package ai or anything that speaks HTTP to a model.
package queue
