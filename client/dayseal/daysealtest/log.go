// Package daysealtest has a log in memory, for tests of what checks seals.
package daysealtest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/client/dayseal"
)

// Log is a log in memory.
type Log struct {
	t      testing.TB
	signer note.Signer
	Key    string // public
	size   int64
	hashes []tlog.Hash
}

// New makes a log without leaves.
func New(t testing.TB, name string) *Log {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &Log{t: t, signer: signer, Key: public}
}

func (l *Log) read(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = l.hashes[index]
	}
	return out, nil
}

// Add appends a leaf and returns its number.
func (l *Log) Add(data []byte) int64 { return l.AddHash(tlog.RecordHash(data)) }

// AddHash appends a leaf by its hash and returns its number.
func (l *Log) AddHash(leaf tlog.Hash) int64 {
	l.t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(l.size, leaf, tlog.HashReaderFunc(l.read))
	if err != nil {
		l.t.Fatal(err)
	}
	l.hashes = append(l.hashes, hashes...)
	l.size++
	return l.size - 1
}

// Checkpoint returns the signed tree head.
func (l *Log) Checkpoint() []byte {
	l.t.Helper()
	root, err := tlog.TreeHash(l.size, tlog.HashReaderFunc(l.read))
	if err != nil {
		l.t.Fatal(err)
	}
	c := torchwood.Checkpoint{Origin: l.signer.Name(), Tree: tlog.Tree{N: l.size, Hash: root}}
	signed, err := note.Sign(&note.Note{Text: c.String()}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// Proof returns the proof of a leaf.
func (l *Log) Proof(index int64) string {
	l.t.Helper()
	p, err := tlog.ProveRecord(l.size, index, tlog.HashReaderFunc(l.read))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(torchwood.FormatProof(index, p, l.Checkpoint()))
}

// Day returns the seal of a day without data, which change may change; it has no proof.
func Day(tenant, day string, change func(*dayseal.Seal)) *dayseal.Seal {
	s := &dayseal.Seal{Tenant: tenant, Day: day, SealedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Salt: "000102030405060708090a0b0c0d0e0f"}
	for i := range 24 {
		s.Hours = append(s.Hours, dayseal.Hour{Hour: fmt.Sprintf("%02d", i), State: dayseal.NoData})
	}
	if change != nil {
		change(s)
	}
	for _, h := range s.Hours {
		switch h.State {
		case dayseal.Available:
			s.AvailableHours++
		case dayseal.NoData:
			s.NoDataHours++
		case dayseal.Pending:
			s.PendingHours++
		case dayseal.Failed:
			s.FailedHours++
		}
		s.TotalFiles += h.FileCount
	}
	return s
}

// Seal adds a seal to the log and returns its text with the proof.
func (l *Log) Seal(s *dayseal.Seal) []byte {
	l.t.Helper()
	data := Data(l.t, s)
	text, err := dayseal.Join(data, l.Proof(l.Add(data)))
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

// Data returns the leaf's data of a seal without proof.
func Data(t testing.TB, s *dayseal.Seal) []byte {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
