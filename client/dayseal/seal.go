package dayseal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The values of an Hour's State.
const (
	Available = "available"
	NoData    = "no_data"
	Pending   = "pending" // the day ended before the hour was archived
	Failed    = "failed"
)

// Hour is what a seal says of one hour.
type Hour struct {
	Hour             string  `json:"hour"` // "00" to "23"
	State            string  `json:"state"`
	Revision         int64   `json:"revision"`
	ManifestSHA256   *string `json:"manifestSha256"` // hex, of the ZIP's SHA256SUMS; nil unless available
	FileCount        int64   `json:"fileCount"`
	MissingFileCount int64   `json:"missingFileCount"`
}

// Seal is what an installation wrote into its log about a day of a tenant. Keys and their order are
// those of the wire.
type Seal struct {
	Tenant         string    `json:"tenant"`
	Day            string    `json:"utcDay"`
	Hours          []Hour    `json:"hours"` // 24, in order
	AvailableHours int       `json:"availableHours"`
	NoDataHours    int       `json:"noDataHours"`
	PendingHours   int       `json:"pendingHours"`
	FailedHours    int       `json:"failedHours"`
	TotalSessions  int64     `json:"totalSessions"`
	TotalFiles     int64     `json:"totalFiles"`
	TotalSizeBytes int64     `json:"totalSizeBytes"`
	SealedAt       time.Time `json:"sealedAt"`
	Salt           string    `json:"salt"`            // random: with it nobody can check a guess of the seal by the leaf's hash
	Proof          string    `json:"proof,omitempty"` // absent in the leaf's data

	data []byte // the leaf's data
}

// MaxSize is the most bytes of a seal.
const MaxSize = 64 << 10

// errForm says that bytes are no seal at all.
var errForm = errors.New("it is no seal of a day as callvault writes it")

var errProof = fmt.Errorf("%w: proof is not its last key", errForm)

// proofKey begins the last member. It can't be part of a JSON string, where quotes are escaped.
var proofKey = []byte(`,"proof":"`) //nolint:gochecknoglobals // constant

// Parse reads a seal. It checks that the seal is one and does not contradict itself, but no proof.
// White space that a program put between keys makes no difference.
func Parse(text []byte) (*Seal, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("it has %d bytes, which no seal has", len(text))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("%w (%w)", errForm, err)
	}
	raw := compact.Bytes()
	at := bytes.LastIndex(raw, proofKey)
	var proof string
	if at < 0 || json.Unmarshal(raw[at+len(proofKey)-1:len(raw)-1], &proof) != nil {
		return nil, errProof
	}
	s, err := ParseData(append(raw[:at:at], '}'))
	if err != nil {
		return nil, err
	}
	if s.Proof != "" {
		return nil, errProof
	}
	s.Proof = proof
	return s, nil
}

// ParseData reads a seal without proof: the data of its leaf.
func ParseData(data []byte) (*Seal, error) {
	s := &Seal{data: bytes.Clone(data)}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it has %d bytes, which no seal has", len(data))
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%w (%w)", errForm, err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// Data is the leaf's data: the seal without proof.
func (s *Seal) Data() []byte { return s.data }

// Text is the seal with its proof, as pull stores it.
func (s *Seal) Text() ([]byte, error) { return Join(s.data, s.Proof) }

// Join gives a seal: the data of its leaf, with the proof as its last key.
func Join(data []byte, proof string) ([]byte, error) {
	text, err := json.Marshal(proof)
	if err != nil || len(data) < 2 {
		return nil, errors.Join(errForm, err)
	}
	out := append(bytes.Clone(data[:len(data)-1]), proofKey[:len(proofKey)-1]...)
	return append(append(out, text...), '}', '\n'), nil
}

// check refuses a seal that contradicts itself. A seal with a proof never does, but seals are also
// compared with archives where no key proves them.
func (s *Seal) check() error {
	if _, err := time.Parse(time.DateOnly, s.Day); err != nil || s.Tenant == "" || s.SealedAt.IsZero() {
		return fmt.Errorf("%w: tenant, utcDay or sealedAt is missing", errForm)
	}
	if salt, err := hex.DecodeString(s.Salt); err != nil || len(salt) < 16 {
		return fmt.Errorf("%w: salt has less than 16 bytes", errForm)
	}
	if len(s.Hours) != 24 {
		return fmt.Errorf("%w: it has %d hours instead of 24", errForm, len(s.Hours))
	}
	counts := map[string]int{}
	files := int64(0)
	for i := range s.Hours {
		h := &s.Hours[i]
		if h.Hour != fmt.Sprintf("%02d", i) {
			return fmt.Errorf("%w: hour %d is named %.20q", errForm, i, h.Hour)
		}
		if err := h.check(); err != nil {
			return fmt.Errorf("%w: hour %s %w", errForm, h.Hour, err)
		}
		counts[h.State]++
		files += h.FileCount
	}
	if counts[Available] != s.AvailableHours || counts[NoData] != s.NoDataHours || counts[Pending] != s.PendingHours || counts[Failed] != s.FailedHours || files != s.TotalFiles {
		return fmt.Errorf("%w: its counts are not those of its hours", errForm)
	}
	return nil
}

func (h *Hour) check() error {
	switch h.State {
	case Available:
		if h.ManifestSHA256 == nil {
			return errors.New("has no manifestSha256")
		}
		if sum, err := hex.DecodeString(*h.ManifestSHA256); err != nil || len(sum) != sha256.Size {
			return errors.New("has a manifestSha256 that is no SHA-256")
		}
	case NoData, Pending, Failed:
		if h.ManifestSHA256 != nil || h.FileCount != 0 {
			return fmt.Errorf("is %s and has files", h.State)
		}
	default:
		return fmt.Errorf("has the state %.20q", h.State)
	}
	if h.Revision < 0 || h.FileCount < 0 || h.MissingFileCount < 0 {
		return errors.New("has a negative number")
	}
	return nil
}
