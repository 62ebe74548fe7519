package verify

import (
	"hash/maphash"
	"math/bits"
)

// entry is what the checks remember of an entry. A hostile ZIP can have a million entries with long
// names, so it has a hash of the name. The name is read again from the ZIP when a problem needs it.
type entry struct {
	name       uint64 // hash
	size       int64
	at         uint32 // of its header in the central directory
	inSums     bool   // SHA256SUMS has it
	inMetadata bool   // metadata.json has it
}

// index finds entries by their names. The seed of its hashes is secret, so that nobody can choose
// names whose hashes are equal.
type index struct {
	seed    maphash.Seed
	entries []entry
	// Two tables with open addressing. Their length is a power of two and more than twice what they
	// get, so that a look takes a few steps.
	slots  []uint32 // numbers of entries + 1
	folded []uint64 // hashes of names without their case; 0 is free
}

func newIndex(entries int) *index {
	size := 1 << bits.Len(uint(2*entries))
	return &index{seed: maphash.MakeSeed(), entries: make([]entry, 0, entries), slots: make([]uint32, size), folded: make([]uint64, size)}
}

// slot returns where the number of the entry with this hash stands, or belongs.
func (x *index) slot(hash uint64) *uint32 {
	mask := uint64(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &x.slots[i]; *s == 0 || x.entries[*s-1].name == hash {
			return s
		}
	}
}

// add adds an entry, and reports whether its name is new.
func (x *index) add(name []byte, size int64, at uint32) bool {
	hash := maphash.Bytes(x.seed, name)
	slot := x.slot(hash)
	x.entries = append(x.entries, entry{name: hash, size: size, at: at})
	if *slot != 0 {
		return false
	}
	*slot = uint32(len(x.entries))
	return true
}

// find returns the number of the first entry with this name, -1 without one.
func (x *index) find(name []byte) int {
	return int(*x.slot(maphash.Bytes(x.seed, name))) - 1
}

// addFolded adds a name without its case, and reports whether it is new.
func (x *index) addFolded(name []byte) bool {
	hash := maphash.Bytes(x.seed, name)
	mask := uint64(len(x.folded) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch x.folded[i] {
		case 0:
			x.folded[i] = hash
			return true
		case hash:
			return false
		}
	}
}
