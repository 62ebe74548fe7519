// Package transcript reads raw transcripts, of the shapes that voice platforms store: who said what,
// and the function calls, which are turns of their own or parts of some, with arguments as objects or
// as JSON text, and results beside the call or on a later turn. One table says which words mean what.
//
// It reads a transcript as a stream and holds one turn of it at a time.
package transcript
