// Package db is the engine under all tables of callvault. It opens SQLite or PostgreSQL, runs
// transactions and repeats those that lost a race, translates the drivers' errors into kinds, and
// applies the steps of a schema. One SQL text serves both databases.
//
// It knows no table but those of the migrations themselves. The packages that own tables have a DB,
// and register the statements that are worth parsing only once.
package db
