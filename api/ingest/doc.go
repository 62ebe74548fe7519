// Package ingest is the family by which the voice platform sends its data: lines of agents,
// conversations, messages and recordings, and audio that is not yet in the recordings bucket.
//
// Callers are the platform's own services. They authenticate by x-internal-token and name the
// tenant in x-organization-id. Bodies stream and may have any length. When a caller goes away
// midway, only whole batches and whole objects were stored.
//
// Package internal/ingest reads and checks the lines; this package does not.
package ingest
