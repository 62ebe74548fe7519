// Package ingest reads the lines that callvault takes in: agents, conversations, messages and
// recordings, one JSON object a line. It checks every field, cuts the stream into batches and
// hands each to the catalog.
//
// Memory is bounded whatever the stream's length: a conversation's line may have 64 MiB, because
// it carries the transcript, every other line 1 MiB; a batch ends after 5,000 lines or 16 MiB.
//
// What is not right is refused with the line's number, the field's name and the reason; nothing
// is mended silently. Free-form JSON keeps its bytes: key order, number spelling and white space.
// A field that stands twice in one object is refused wherever the field means something to
// callvault, and kept where it does not.
//
// It does not know HTTP, and does not look at audio.
package ingest
