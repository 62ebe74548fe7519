package dayseal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Keys are the public keys of a log, the present one and former ones.
type Keys []note.Verifier

// ParseKeys reads public keys of a log, one a line (c2sp.org/signed-note), as a server gives them
// at /.well-known/callvault-log-key. It skips empty lines and those that begin with #.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	known := map[uint32]bool{}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is no public key of a log: %w", i+1, err)
		}
		if len(keys) > 0 && key.Name() != keys.Name() {
			return nil, fmt.Errorf("line %d is a key of the log %s, but the first one is of %s; name a file with the keys of one log", i+1, key.Name(), keys.Name())
		}
		if known[key.KeyHash()] { // a policy of one key twice accepts nothing
			continue
		}
		known[key.KeyHash()] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it; a server gives it at /.well-known/callvault-log-key")
	}
	return keys, nil
}

// Name is the log's name, which all its keys have.
func (k Keys) Name() string { return k[0].Name() }

// OpenCheckpoint checks a checkpoint's signatures by the keys: one of them at least has signed it.
func (k Keys) OpenCheckpoint(signed []byte) (torchwood.Checkpoint, error) {
	if err := strict(string(signed)); err != nil {
		return torchwood.Checkpoint{}, err
	}
	c, _, err := torchwood.VerifyCheckpoint(signed, k.Policy())
	if err != nil {
		return c, fmt.Errorf("no key of the file has signed its checkpoint: it was changed, or the file lacks a key, perhaps one from before a rotation (%w)", err)
	}
	return c, nil
}

// VerifyProof checks a proof that data is a leaf of the log: its path in the tree, and its
// checkpoint as OpenCheckpoint does.
func (k Keys) VerifyProof(data []byte, proof string) error {
	if err := strict(proof); err != nil {
		return err
	}
	_, signed, _ := strings.Cut(proof, "\n\n")
	if _, err := k.OpenCheckpoint([]byte(signed)); err != nil {
		return err
	}
	err := torchwood.VerifyProof(k.Policy(), tlog.RecordHash(data), []byte(proof))
	if wrong := new(torchwood.VerifyRecordError); errors.As(err, &wrong) {
		return errors.New("it is not what stands in the log: it was changed, or its proof was")
	}
	if err != nil {
		return errLoose
	}
	return nil
}

// errLoose is about a proof or a checkpoint.
var errLoose = errors.New("it is not written as a log writes it")

// Policy accepts checkpoints of the log that one of the keys has signed.
func (k Keys) Policy() torchwood.Policy {
	keys := make([]torchwood.Policy, 0, len(k))
	for _, key := range k {
		keys = append(keys, torchwood.SingleVerifierPolicy(key))
	}
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(k.Name()), torchwood.ThresholdPolicy(1, keys...))
}

// strict refuses other spellings of Base64 and of numbers, which decoders accept, so that each
// changed bit of a proof or a checkpoint is found.
func strict(proof string) error {
	loose := strings.Contains(proof, "\r")
	for line := range strings.SplitSeq(proof, "\n") {
		text := line[strings.LastIndexByte(line, ' ')+1:] // of a signature, the last field
		_, err := base64.StdEncoding.DecodeString(text)
		_, strict := base64.StdEncoding.Strict().DecodeString(text)
		loose = loose || err == nil && strict != nil
		if number, isIndex := strings.CutPrefix(line, "index "); isIndex {
			n, err := strconv.ParseInt(number, 10, 64)
			loose = loose || err != nil || strconv.FormatInt(n, 10) != number
		}
	}
	if loose {
		return errLoose
	}
	return nil
}
