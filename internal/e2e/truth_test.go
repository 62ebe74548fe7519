package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// recording is what a tenant registered of one file.
type recording struct {
	Tenant       string    `json:"-"`
	Kind         string    `json:"kind"`
	Conversation string    `json:"conversationId"`
	Session      string    `json:"sessionId"`
	Message      int64     `json:"messageId"`
	Type         string    `json:"type"`
	At           time.Time `json:"timestamp"`
	Key          string    `json:"objectKey"`
	Size         int64     `json:"sizeBytes,omitempty"`
	CRC32        string    `json:"crc32,omitempty"`
	body         []byte
	sum          [32]byte
	missing      string // the reason that its archive must give; "" when the file must be there
}

func (r *recording) hour() domain.HourKey { return domain.HourOf(r.Tenant, r.At) }

// say makes a recording of the given bytes.
func say(tenant, key string, at time.Time, body []byte) recording {
	sum := sha256.Sum256([]byte(key))
	return recording{
		Tenant: tenant, Kind: "recording", Conversation: fmt.Sprintf("conv-%02x", sum[0]%16), Session: fmt.Sprintf("session-%d", sum[1]%3),
		Message: int64(sum[2])<<8 | int64(sum[3]), Type: "agent_tts", At: at.Truncate(time.Second), Key: key,
		Size: int64(len(body)), body: body, sum: sha256.Sum256(body),
	}
}

// noise returns bytes that depend on the key only.
func noise(key string, size int) []byte {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(key))).Read(body) // never fails
	return body
}

// spread makes n recordings of about size bytes within one hour.
func spread(k domain.HourKey, prefix string, n, size int) []recording {
	list := make([]recording, 0, n)
	for i := range n {
		key := fmt.Sprintf("%s/%s/%s/%s-%04d.opus", k.Tenant, k.Day, k.HH(), prefix, i)
		at := k.Day.Start().Add(time.Duration(k.Hour)*time.Hour + time.Duration(i%3600)*time.Second)
		list = append(list, say(k.Tenant, key, at, noise(key, size+i%97)))
	}
	return list
}

// lines writes recordings as ingest takes them.
func lines(list []recording) []byte {
	var b bytes.Buffer
	for i := range list {
		line, err := json.Marshal(&list[i])
		if err != nil { // never: it has only strings, numbers and times
			return nil
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

// truth is everything that was registered, by object key.
type truth struct {
	mu  sync.Mutex
	all map[string]recording
}

func (t *truth) add(list ...recording) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string]recording{}
	}
	for _, r := range list {
		r.body = nil
		t.all[r.Key] = r
	}
}

// remove forgets a recording that was erased.
func (t *truth) remove(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, key)
}

// change edits the expected recording of one key.
func (t *truth) change(key string, edit func(r *recording)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.all[key]
	edit(&r)
	t.all[key] = r
}

func (t *truth) snapshot() map[string]recording {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.all)
}

// days lists the tenants' days that hold something.
func (t *truth) days() map[day]bool {
	out := map[day]bool{}
	for _, r := range t.snapshot() {
		out[day{r.Tenant, domain.DayOf(r.At)}] = true
	}
	return out
}

// day is one tenant's day.
type day struct {
	tenant string
	day    domain.Day
}
