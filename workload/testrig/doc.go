// Package testrig gives a test real servers of its own: PostgreSQL and Redis in
// a temporary directory, on free ports of the loopback, gone when the test
// process ends, however it ends.
//
// It installs nothing: where the Debian packages postgresql-15 and redis-server
// are missing, the test fails and says so. No shipped program may import it.
package testrig
