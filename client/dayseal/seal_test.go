package dayseal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/dayseal/daysealtest"
)

var manifest = strings.Repeat("ab", 32)

// sealed is the seal of a day with one archive, in a log with other leaves.
func sealed(t testing.TB) (*daysealtest.Log, []byte) {
	t.Helper()
	l := daysealtest.New(t, "callvault.example.com/log")
	for range 5 {
		l.Add([]byte("a line"))
	}
	text := l.Seal(daysealtest.Day("acme", "2025-12-12", func(s *dayseal.Seal) {
		s.Hours[14] = dayseal.Hour{Hour: "14", State: dayseal.Available, Revision: 1, ManifestSHA256: &manifest, FileCount: 3}
	}))
	return l, text
}

// verify parses and proves a seal.
func verify(text []byte, keys dayseal.Keys) error {
	s, err := dayseal.Parse(text)
	if err != nil {
		return err
	}
	return keys.VerifyProof(s.Data(), s.Proof)
}

func parseKeys(t testing.TB, text string) dayseal.Keys {
	t.Helper()
	keys, err := dayseal.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestSealIsProven(t *testing.T) {
	l, text := sealed(t)
	former := daysealtest.New(t, "callvault.example.com/log")
	for name, keys := range map[string]string{
		"one key":      l.Key,
		"a key twice":  l.Key + "\n" + l.Key,
		"a former key": "# the log's keys\n" + former.Key + "\r\n\n" + l.Key + "\n",
	} {
		if err := verify(text, parseKeys(t, keys)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := verify(pretty.Bytes(), parseKeys(t, l.Key)); err != nil {
		t.Errorf("indented: %v", err)
	}
	s, err := dayseal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Text(); err != nil || !bytes.Equal(again, text) {
		t.Errorf("written again: %s, %v", again, err)
	}
	for _, keys := range []string{former.Key, daysealtest.New(t, "elsewhere").Key} {
		if err := verify(text, parseKeys(t, keys)); err == nil || !strings.Contains(err.Error(), "no key of the file has signed") {
			t.Errorf("another key: %v", err)
		}
	}
}

func TestEveryFlippedBitOfASealIsFound(t *testing.T) {
	l, text := sealed(t)
	keys := parseKeys(t, l.Key)
	proof := bytes.Index(text, []byte(`"proof"`)) // before it, a hash finds what is changed
	for i := range text {
		for bit := range 8 {
			if i < proof && bit != i%8 {
				continue
			}
			text[i] ^= 1 << bit
			if err := verify(text, keys); err == nil {
				t.Errorf("bit %d of byte %d (%q): not found", bit, i, text[max(0, i-20):min(len(text), i+20)])
			}
			text[i] ^= 1 << bit
		}
	}
}

// The proof of another leaf of the same log, and one of another log, prove nothing.
func TestProofOfAnotherLeaf(t *testing.T) {
	l, text := sealed(t)
	s, err := dayseal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, proof := range map[string]string{
		"an index with a zero": strings.Replace(s.Proof, "index ", "index 0", 1), "an index with a sign": strings.Replace(s.Proof, "index ", "index +", 1),
		"another leaf": l.Proof(2), "none": "", "a text": "c2sp.org/tlog-proof@v1\nindex 5\n",
	} {
		swapped, err := dayseal.Join(s.Data(), proof)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(swapped, parseKeys(t, l.Key)); err == nil {
			t.Errorf("%s is taken for a proof", name)
		}
	}
}

func TestHostileSeals(t *testing.T) {
	l, text := sealed(t)
	whole := string(text)
	for want, seal := range map[string]string{
		"which no seal has":            whole + strings.Repeat(" ", dayseal.MaxSize),
		"exceeded max depth":           strings.Repeat("[", 20_000),
		"unexpected end":               whole[:100],
		"cannot unmarshal":             strings.Replace(whole, `"hours":[`, `"hours":["x",`, 1),
		"proof is not its last key":    strings.Replace(strings.TrimSuffix(whole, "}\n"), `"tenant"`, `"ten"`, 1) + `,"tenant":"acme"}`,
		"25 hours":                     strings.Replace(whole, `"hours":[`, `"hours":[{"hour":"00","state":"no_data"},`, 1),
		"hour 1 is named":              strings.Replace(whole, `"hour":"01"`, `"hour":"02"`, 1),
		"has the state":                strings.Replace(whole, `"no_data"`, `"nodata"`, 1),
		"no SHA-256":                   strings.Replace(whole, manifest, "xyz", 1),
		"has no manifestSha256":        strings.Replace(whole, `"`+manifest+`"`, "null", 1),
		"salt has less than 16 bytes":  strings.Replace(whole, `"salt":"00`, `"salt":"`, 1),
		"not those of its hours":       strings.Replace(whole, `"availableHours":1`, `"availableHours":2`, 1),
		"tenant, utcDay or sealedAt":   strings.Replace(whole, `"utcDay":"2025-12-12"`, `"utcDay":"2025-12-32"`, 1),
		"has a negative number":        strings.Replace(whole, `"revision":1`, `"revision":-1`, 1),
		"is no_data and has files":     strings.Replace(whole, `"fileCount":0`, `"fileCount":1`, 1),
		"it is not what stands in the": strings.Replace(whole, `"revision":1`, `"revision":2`, 1),
	} {
		if err := verify([]byte(seal), parseKeys(t, l.Key)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestHostileKeys(t *testing.T) {
	l, _ := sealed(t)
	for want, text := range map[string]string{
		"there is no key in it":           "# nothing\n\n",
		"line 2 is no public key":         l.Key + "\nPRIVATE+KEY+x",
		"line 2 is a key of the log else": l.Key + "\n" + daysealtest.New(t, "elsewhere").Key,
	} {
		if _, err := dayseal.ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
