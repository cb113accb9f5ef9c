//go:build nextrelease

package store

import englog "github.com/garnizeh/englog-operator/workload"

// This release also keeps the reading time of an entry.
const (
	moreColumns = ", reading_minutes"
	moreInsert  = ", $18"
	moreUpdate  = ", reading_minutes = $18"
)

func moreTargets(e *englog.Entry) []any { return []any{&e.ReadingMinutes} }

func moreArgs(e englog.Entry) []any { return []any{englog.ReadingMinutes(e.Body)} }
