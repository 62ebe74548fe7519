// Package transcript finds the function calls in raw transcripts, of the shapes that voice
// platforms store: turns that are a call or carry some, arguments as objects or as JSON text, and
// results beside the call or on a later turn.
//
// It reads a transcript as a stream and holds one turn of it at a time. Who said what is read by
// package domain.
package transcript
