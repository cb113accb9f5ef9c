//go:build nextrelease && contractrelease

package store

import "embed"

// The release after the next one also carries the contract that ends the
// support of releases before the next.
//
//go:embed migrations/*.sql migrations/next/*.sql migrations/contract/*.sql
var migrationFiles embed.FS
