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

// maxKeys is the most keys of one log.
const maxKeys = 1000

// ParseKeys reads public keys of a log, one a line (c2sp.org/signed-note), as a server gives them
// at /.well-known/callvault-log-key. It skips empty lines and those that begin with #.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
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
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it; a server gives it at /.well-known/callvault-log-key")
	}
	return keys, nil
}

// Name is the log's name, which all its keys have.
func (k Keys) Name() string { return k[0].Name() }

// OpenCheckpoint checks a checkpoint's signature by any of the keys.
func (k Keys) OpenCheckpoint(signed []byte) (torchwood.Checkpoint, error) {
	_, c, err := k.open(signed)
	return c, err
}

// open gives a checkpoint, and the first of the keys that has signed it.
func (k Keys) open(signed []byte) (note.Verifier, torchwood.Checkpoint, error) {
	if err := strict(string(signed)); err != nil {
		return nil, torchwood.Checkpoint{}, err
	}
	var first error
	for _, key := range k {
		c, _, err := torchwood.VerifyCheckpoint(signed, policy(key))
		if err == nil {
			return key, c, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, torchwood.Checkpoint{}, fmt.Errorf("no key of the file has signed its checkpoint (%w)", first)
}

// VerifyProof checks a proof that data is a leaf of the log: its path in the tree, and the
// signature of the checkpoint by any of the keys.
func (k Keys) VerifyProof(data []byte, proof string) error {
	if err := strict(proof); err != nil {
		return err
	}
	_, signed, _ := strings.Cut(proof, "\n\n")
	key, _, err := k.open([]byte(signed))
	if err != nil {
		return err
	}
	err = torchwood.VerifyProof(policy(key), tlog.RecordHash(data), []byte(proof))
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

// policy accepts checkpoints of the log of the key's name that the key has signed.
func policy(key note.Verifier) torchwood.Policy {
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(key.Name()), torchwood.SingleVerifierPolicy(key))
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
