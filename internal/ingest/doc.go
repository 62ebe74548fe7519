// Package ingest reads lines of agents, conversations, messages and recordings, one JSON object a
// line. It checks every field, cuts the stream into batches and passes each to the catalog.
//
// Memory is bounded whatever the stream's length. A conversation's line may have 64 MiB, because it
// contains the transcript, and every other line 1 MiB. A batch ends after 5,000 lines or 16 MiB.
//
// An invalid line is refused with its number, the field's name and the reason. Nothing is corrected
// silently. Free-form JSON keeps its bytes: key order, number spelling and white space. A field
// that occurs twice in one object is refused where callvault reads that object, and kept elsewhere.
//
// It does not know HTTP and does not look at audio.
package ingest
