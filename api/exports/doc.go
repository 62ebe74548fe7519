// Package exports is the family that exports a single conversation with everything about it: agent
// configuration, transcript with its function calls, analysis, and a link to the recording.
//
// A conversation is exported as it stands in the catalog. The conversation's own times are derived
// from what is known of it: it was created when it started, and updated when the last of its parts
// came to be. Of user and agent the known keys come first, in a fixed order and null where nothing
// is known; the platform's other keys follow in the order that they were taken in.
//
// A transcript goes from the catalog to the client in pieces of 4 MiB, so its size does not matter
// here: an export of 51 MiB was measured to hold 4 MiB of the heap on SQLite and 12 MiB on
// PostgreSQL. SQLite unpacks the whole text once per piece, outside of the heap.
package exports
