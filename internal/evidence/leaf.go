package evidence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
)

// lineVersion begins the leaf of an audit line. Leaves of other kinds are JSON objects, so that no
// leaf of one kind can be taken for one of another.
const lineVersion = "callvault-audit-line-v1"

// EncodeLine gives the stored columns of an audit line as netstrings (length in decimal, colon,
// bytes, comma), so that no two lines have one encoding: seq, at_us, tenant, actor, action, detail,
// links. Numbers are decimal, links is the sum in hex, or empty. docs/audit.md tells auditors.
func EncodeLine(l merkle.Line) []byte {
	return netstrings(strconv.FormatInt(l.Seq, 10), strconv.FormatInt(l.AtUS, 10), l.Tenant, l.Actor, l.Action, l.Detail, hex.EncodeToString(l.Links))
}

// LineSalt gives the salt of a line. Without a salt, somebody could check a guess of a line by the
// published hashes. The salt depends only on the secret and the line, so that a restored catalog
// makes the same leaf again.
func LineSalt(secret []byte, l merkle.Line) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(EncodeLine(l))
	return hex.EncodeToString(mac.Sum(nil))
}

// LineLeaf gives the data of a line's leaf.
func LineLeaf(salt string, l merkle.Line) []byte {
	return append(netstrings(lineVersion, salt), EncodeLine(l)...)
}

// LeafHash gives the leaf of a record that is not missing.
func LeafHash(secret []byte, r merkle.Record) tlog.Hash {
	if r.Line != nil {
		return tlog.RecordHash(LineLeaf(LineSalt(secret, *r.Line), *r.Line))
	}
	return tlog.RecordHash([]byte(r.Data))
}

func netstrings(list ...string) (out []byte) {
	for _, s := range list {
		out = append(strconv.AppendInt(out, int64(len(s)), 10), ':')
		out = append(append(out, s...), ',')
	}
	return out
}
