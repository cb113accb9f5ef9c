// Package load is an open-loop load generator for the EngLog API that counts every request once.
//
// Requests fall due at a constant rate whatever the answers do, half of them on new connections from several source
// addresses and half over pooled keep-alive connections. Nothing is ever sent twice: the package speaks HTTP/1.1 on
// net.Conn itself, because net/http's transport silently repeats idempotent requests on a broken keep-alive connection
// and would hide exactly the failures that a cutover may cause.
//
// It imports the standard library and pgx (for the task count) only, and neither controllers nor workload: it sees the
// service as a client does.
package load
