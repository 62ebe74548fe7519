// Package demo has the day of a sample tenant: nine telephone conversations at a bank, spoken by a
// speech synthesiser and kept as Opus clips. For any day it makes the lines and the audio that an
// ingest takes. It stores nothing itself.
package demo
