//go:build !nextrelease

package englog

// HasReadingMinutes says whether this release stores and shows the reading time
// of an entry.
const HasReadingMinutes = false
