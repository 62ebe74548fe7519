// Package ingest is where the voice platform hands its data over: lines of agents, conversations,
// messages and recordings, and audio that is not in the recordings bucket yet.
//
// Callers are the platform's own services, known by x-internal-token, and say whose data it is by
// x-organization-id. Bodies stream and may have any length; a caller that goes away in the middle
// leaves whole batches and whole objects behind, nothing else.
//
// What a line means and when it is refused is package internal/ingest's; this package does not
// read lines itself.
package ingest
