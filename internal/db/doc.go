// Package db is the engine under everything that callvault keeps in SQL: it opens SQLite or
// PostgreSQL, runs transactions and repeats those that lost a race, gives errors of the drivers a
// kind, and takes the schema's steps. It speaks one SQL text to both databases.
//
// It knows no table but those that its own migrations need. The packages that have tables hold a
// DB, and name the statements of theirs that are worth keeping parsed.
package db
