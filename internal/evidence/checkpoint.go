package evidence

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// Folder is where the bucket has an installation's log. The installation's id is part of it, so
// that a catalog which has adopted a bucket begins a log of its own beside that of the lost one.
func Folder(prefix, origin string) string {
	return prefix + "/log/" + strings.TrimPrefix(origin, originHead) + "/"
}

// checkpointKey is the key of a checkpoint below the folder. Zeros keep listings in order.
func checkpointKey(n int64) string { return fmt.Sprintf("checkpoints/%012d", n) }

// published is a checkpoint as the bucket has it, with the leaves by which a restored catalog can
// go on from it: all from the tile on that the checkpoint before ends in.
type published struct {
	merkle.Checkpoint
	first  int64 // number of the first leaf
	leaves []tlog.Hash
}

// firstOf gives the first leaf that the object after a checkpoint of so many leaves has.
func firstOf(before int64) int64 { return before / torchwood.TileWidth * torchwood.TileWidth }

const (
	checkpointHead = "callvault log checkpoint "
	leavesHead     = "leaves "
)

// format gives the object: two lines of the leaves, an empty line, and the signed checkpoint.
func (p published) format() []byte {
	hashes := make([]byte, 0, len(p.leaves)*tlog.HashSize)
	for _, h := range p.leaves {
		hashes = append(hashes, h[:]...)
	}
	return fmt.Appendf(nil, "%s%d\n%s%d %s\n\n%s", checkpointHead, p.N, leavesHead, p.first, base64.StdEncoding.EncodeToString(hashes), p.Note)
}

// parsePublished reads such an object and checks its signature. Error: KindBadCatalog.
func parsePublished(data []byte, policy torchwood.Policy) (p published, err error) {
	head, signed, _ := strings.Cut(string(data), "\n\n")
	number, rest, _ := strings.Cut(head, "\n")
	first, hashes, _ := strings.Cut(strings.TrimPrefix(rest, leavesHead), " ")
	raw, decoding := base64.StdEncoding.DecodeString(hashes)
	var numbering, counting error
	p.N, numbering = strconv.ParseInt(strings.TrimPrefix(number, checkpointHead), 10, 64)
	p.first, counting = strconv.ParseInt(first, 10, 64)
	if decoding != nil || numbering != nil || counting != nil || p.first < 0 || len(raw)%tlog.HashSize != 0 {
		return p, domain.Errorf(domain.KindBadCatalog, "the object is no checkpoint of callvault's")
	}
	c, _, err := torchwood.VerifyCheckpoint([]byte(signed), policy)
	if err != nil {
		return p, domain.Wrap(domain.KindBadCatalog, err, "the checkpoint is not signed by a key of this log that the catalog knows")
	}
	for ; len(raw) > 0; raw = raw[tlog.HashSize:] {
		p.leaves = append(p.leaves, tlog.Hash(raw))
	}
	p.Size, p.Root, p.Note = c.N, c.Hash, signed
	if p.first+int64(len(p.leaves)) != p.Size {
		return p, domain.Errorf(domain.KindBadCatalog, "the checkpoint has another number of leaves than it says")
	}
	return p, nil
}

// sign signs a head of the tree with all keys.
func (k Keys) sign(size int64, root tlog.Hash) (string, error) {
	c := torchwood.Checkpoint{Origin: k.Origin, Tree: tlog.Tree{N: size, Hash: root}}
	signed, err := note.Sign(&note.Note{Text: c.String()}, k.Signers...)
	return string(signed), err
}
