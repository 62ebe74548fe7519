// Package exports is the family that exports a single conversation: agent configuration, transcript
// with its function calls, analysis, and a link to the recording.
//
// createdAt of a conversation is its start, and updatedAt the latest time of its parts. User and
// agent have fixed keys in a fixed order, null when unknown; other keys are not exported.
//
// A transcript is read from the catalog and sent to the client in pieces of 4 MiB. An export of 51
// MiB took 4 MiB of the heap on SQLite and 12 MiB on PostgreSQL. SQLite decompresses the whole text
// once a piece, outside of the heap.
package exports
