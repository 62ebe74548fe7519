// Package limits counts uses in short sliding windows, exactly, over all replicas, in Redis.
//
// It is for limits of seconds, which may be forgotten with Redis. The hourly limits, which must
// outlive it, are the catalog's.
package limits
