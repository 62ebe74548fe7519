// Package metrics counts what a process does and tells it to Prometheus, from a registry of its own.
//
// What happens is counted where it happens, by the functions that the parts are handed. What
// stands (hours, queues, Redis) is read when somebody asks, not more often than every ten seconds,
// and only where the scheduler runs. A part that is away leaves its own numbers out and no others.
//
// No label names a tenant, a day or a path: there are too many of them, and they are nobody else's
// business. The package decides nothing about what is alarming; deploy/prometheus does.
package metrics
