package verify

import "hash/maphash"

// entry is what the checks remember of an entry.
type entry struct {
	size       int64
	modified   int64  // Unix time, as zipformat.Recorded gives it
	at         uint32 // of its header in the central directory
	inSums     bool   // SHA256SUMS has it
	inMetadata bool   // metadata.json has it
}

// index finds entries by their names. A hostile ZIP can have a million entries with long names, so
// it has only hashes of these. The name is read again from the ZIP when a problem needs it. The
// seed of the hashes is secret, so that nobody can choose names whose hashes are equal.
type index struct {
	seed    maphash.Seed
	entries []entry
	numbers map[uint64]int      // of the first entry with a name
	folded  map[uint64]struct{} // names without their case
}

func newIndex(entries int) *index {
	return &index{seed: maphash.MakeSeed(), entries: make([]entry, 0, entries), numbers: make(map[uint64]int, entries), folded: make(map[uint64]struct{}, entries)}
}

// add adds an entry, and reports whether its name is new.
func (x *index) add(h *header, at uint32) bool {
	hash, number := maphash.Bytes(x.seed, h.name), len(x.entries)
	x.entries = append(x.entries, entry{size: h.size, modified: h.modified.Unix(), at: at})
	if _, known := x.numbers[hash]; known {
		return false
	}
	x.numbers[hash] = number
	return true
}

// find returns the number of the first entry with this name, -1 without one.
func (x *index) find(name []byte) int {
	if number, known := x.numbers[maphash.Bytes(x.seed, name)]; known {
		return number
	}
	return -1
}

// addFolded adds a name without its case, and reports whether it is new.
func (x *index) addFolded(name []byte) bool {
	before := len(x.folded)
	x.folded[maphash.Bytes(x.seed, name)] = struct{}{}
	return len(x.folded) > before
}
