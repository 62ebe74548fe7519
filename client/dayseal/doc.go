// Package dayseal checks the seals of days, without a server: what a seal says of a day's 24
// hours, and that it stands in the log whose public key the reader has.
//
// A seal is the JSON of GET …/{utcDay}/seal. Its last key, proof, is a proof of inclusion as in
// c2sp.org/tlog-proof; the leaf of the log is everything before it.
package dayseal
