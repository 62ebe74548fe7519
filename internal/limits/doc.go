// Package limits counts uses in short sliding windows in Redis, exactly and over all replicas.
//
// It is for limits of seconds, which may be lost with Redis. The catalog keeps the hourly limits,
// which must not be lost.
package limits
