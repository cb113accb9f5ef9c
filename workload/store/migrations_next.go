//go:build nextrelease && !contractrelease

package store

import "embed"

// The next release carries one more expand migration than this one.
//
//go:embed migrations/*.sql migrations/next/*.sql
var migrationFiles embed.FS
