// Package pack writes evidence packs: what the audit log, the seals and the catalog say of a
// tenant's days, with what proves by the log that lines and seals stand there. Package
// client/evidence checks packs, without a server.
//
// A pack is a directory. manifest.json has the SHA-256 of each file of data; export.json is the
// line of the audit log that has the SHA-256 of manifest.json. checkpoint.txt is a signed
// checkpoint of the log, and below tile/ are the hashes that lead from it to each line and seal
// (c2sp.org/tlog-tiles).
package pack
