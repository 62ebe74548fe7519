// Package archiver lays out and builds the ZIP of one hour of recordings.
//
// Names and sizes, and so all offsets, are known before a byte is read. So parallel reads write
// directly into the buffers of a multipart upload, and the same inputs give the same bytes,
// whatever the part size, the number of buffers or the order in which reads end. The ZIP has
// metadata.json, the audio (stored), and SHA256SUMS of everything before it. Sizes and CRC-32 are
// in the local headers, so the ZIP can be unpacked from a stream.
//
// The package knows no object store, database, queue or logger: bytes come from a Source and go to
// a Sink. It decides nothing about hours, retention or publication.
package archiver
