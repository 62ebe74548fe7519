// Package migrations holds the steps of the catalog's schema, in one directory for each database.
package migrations

import "embed"

// Files are the steps, for db.Open.
//
//go:embed sqlite postgres
var Files embed.FS
