// Package archiver lays out and builds the ZIP of one hour of recordings.
//
// Names, sizes and therefore every offset are known before a byte is read, so
// parallel reads land straight in the buffers of a multipart upload, and the
// same inputs give the same bytes whatever the part size, the number of
// buffers or the order in which reads finish. The ZIP holds metadata.json, the
// audio (stored), and SHA256SUMS over everything before it. Sizes and CRC-32
// stand in the local headers, so readers of streams can unpack it.
//
// The package knows no object store, database, queue or logger: bytes come
// from a Source and go to a Sink. It decides nothing about hours, retention or
// publication.
package archiver
