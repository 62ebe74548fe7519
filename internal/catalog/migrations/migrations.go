// Package migrations has the steps of the catalog's schema, in one directory for each database. It
// does not run them: package db does.
package migrations

import "embed"

// Files are the steps, for db.Open.
//
//go:embed sqlite postgres
var Files embed.FS
