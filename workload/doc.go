// Package englog is the domain of the engineering journal: its types, its
// rules and its error codes.
//
// An entry is what a user writes. A task is one piece of analysis that an entry
// version is due. An insight is what a finished task found. The package imports
// the standard library and uuid only: it must never import a database driver, a
// Redis client, an HTTP router or any other package of this repository.
package englog
