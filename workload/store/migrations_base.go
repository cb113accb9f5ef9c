//go:build !nextrelease

package store

import "embed"

//go:embed migrations/*.sql
var migrationFiles embed.FS
