// Package metrics counts what a process does, and exposes the numbers to Prometheus from a registry
// of its own.
//
// Events (requests, builds, passes) are counted by functions that the parts receive. States (hours,
// queues, Redis) are read at a scrape, at most every ten seconds, and only in the scheduler's
// process. When a part does not answer, only its own metrics are missing.
//
// Each metric is declared once, with its help text and, for a state, the function that reads its
// value. No label contains a tenant, a day or a path: there are too many of them, and they are
// nobody else's business. deploy/prometheus/alerts.yml decides what is alarming; a test holds the
// names there, in the dashboard and in docs/operations.md against those declared here.
package metrics
