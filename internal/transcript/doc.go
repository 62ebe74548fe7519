// Package transcript reads raw transcripts in the formats of voice platforms: the spoken turns and
// the function calls. A call is a turn of its own or a part of one. Its arguments are an object or
// JSON text, and its result is part of the call or of a later turn. dialects.go lists the words
// that each format uses.
//
// It reads a transcript as a stream and holds one turn at a time in memory.
package transcript
