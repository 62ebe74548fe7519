package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/ingest"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

func audioAnswer(key string, data []byte) string {
	return fmt.Sprintf(`{"objectKey":%q,"sizeBytes":%d,"crc32":"%08x","sha256":"%x"}`, key, len(data), crc32.ChecksumIEEE(data), sha256.Sum256(data))
}

func TestAudio(t *testing.T) {
	f := newFixture(t)
	data, other := []byte("some opus"), []byte("same size")
	put := func(path string, data []byte, extra http.Header) answer {
		f.Helper()
		return f.send("PUT", "/api/ingest/v1/audio/"+path, bytes.NewReader(data), extra)
	}
	digest := func(d []byte) string {
		sum := sha256.Sum256(d)
		return "md5=:x:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	f.want("wrong crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"00000000"}}), 400, `{"error":"The bytes do not match x-checksum-crc32."}`)
	f.want("wrong digest", put("a/b.opus", data, http.Header{"Content-Digest": {digest(other)}}), 400, `{"error":"The bytes do not match Content-Digest."}`)
	f.want("bad crc", put("a/b.opus", data, http.Header{"X-Checksum-Crc32": {"1"}}), 400, `{"error":"x-checksum-crc32 must be 8 hex digits such as a1b2c3d4"}`)
	f.want("bad digest", put("a/b.opus", data, http.Header{"Content-Digest": {"sha-256=abc"}}), 400, `{"error":"Content-Digest must be sha-256=:BASE64: of 32 bytes"}`)
	f.want("new: nothing of the refused was stored", put("a/b.opus", data, http.Header{"Content-Digest": {digest(data)},
		"X-Checksum-Crc32": {fmt.Sprintf("%08X", crc32.ChecksumIEEE(data))}}), 201, audioAnswer("a/b.opus", data))
	f.want("the same", put("a/b.opus", data, nil), 200, audioAnswer("a/b.opus", data))
	f.want("others", put("a/b.opus", other, nil), 409, `{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	f.want("another size", put("a/b.opus", data[1:], nil), 409, `{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	for _, bad := range []string{"a\tb", "audio/ogg; x=\xff", "audio/ü", "audio/" + strings.Repeat("x", 1024)} { // stores sign or keep these differently
		f.want("content type", put("a/type.opus", data, http.Header{"Content-Type": {bad}}), 400, `{"error":"Content-Type must be at most 1024 characters of ASCII without tabs."}`)
	}
	f.want("odd content type", put("a/type.opus", data, http.Header{"Content-Type": {"audio / ogg;   x"}}), 201, audioAnswer("a/type.opus", data))
	f.want("another tenant", put("a/b.opus", data, http.Header{"X-Organization-Id": {"other"}}), 400, `{"error":"the object key names an object that is not this tenant's"}`)
	f.want("empty", put("a/empty", nil, nil), 201, audioAnswer("a/empty", nil))
	f.want("escaped", put("a%2Fm%C3%BCnchen%20%231.opus", data, nil), 201, audioAnswer("a/münchen #1.opus", data))
	for _, bad := range []string{"", "a/../b", "a%2F..%2Fb", "%2Fetc/passwd", "a//b", "a/", "%00", "a/%FF", "a/./b", strings.Repeat("x", 1025)} {
		if got := put(bad, data, nil); got.status != 400 {
			t.Errorf("key %q: %d %s", bad, got.status, got.body)
		}
	}
	f.want("registered with another size", f.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"late.opus","sizeBytes":5}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":2,"tooLate":1}`)
	ahead := time.Now().Add(49 * time.Hour).UTC().Format(time.RFC3339)
	f.want("far ahead", f.send("POST", recordsPath, strings.NewReader(
		`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":2,"type":"t","timestamp":"`+ahead+`","objectKey":"ahead.opus"}`), nil),
		200, `{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":1,"tooLate":0,"ahead":1}`)
	f.want("not the registered bytes", put("late.opus", data, nil), 409,
		`{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	f.want("the registered bytes", put("late.opus", data[:5], nil), 201, audioAnswer("late.opus", data[:5]))
	f.serve(ingest.New(ingest.Deps{Internal: internalToken(), Catalog: f.c, Audio: f.bucket, NoAudio: domain.Errorf(domain.KindForbidden, "none is taken in"), Log: zap.NewNop()}))
	f.want("where none is taken in", put("refused.opus", data, nil), 403, `{"error":"none is taken in"}`)
}

// Audio and lines that tell a SHA-256 come in any order. What contradicts is refused, also bytes of
// the right size and CRC-32.
func TestSums(t *testing.T) {
	f := newFixture(t)
	data := []byte("some opus")
	put := func(key string, data []byte, extra http.Header) answer {
		return f.send("PUT", "/api/ingest/v1/audio/"+key, bytes.NewReader(data), extra)
	}
	line := func(key string, data []byte) answer {
		return f.send("POST", recordsPath, strings.NewReader(fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":%q,"objectKey":%q,"sha256":"%X"}`,
			time.Now().UTC().Add(-24*time.Hour).Format(time.RFC3339), key, sha256.Sum256(data))), nil)
	}
	accepted := func(changed int) string {
		return fmt.Sprintf(`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":%d,"tooLate":0}`, changed)
	}
	otherBytes := `{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`
	f.want("a line", line("line.opus", data), 200, accepted(2))
	f.want("other bytes", put("line.opus", []byte("same size"), nil), 409, otherBytes)
	digest := sha256.Sum256([]byte("same size"))
	f.want("a digest of other bytes", put("line.opus", data, http.Header{"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"}}), 409, otherBytes)
	f.want("its bytes", put("line.opus", data, nil), 201, audioAnswer("line.opus", data))
	f.want("the line again", line("line.opus", data), 200, accepted(0))

	f.want("audio", put("audio.opus", data, nil), 201, audioAnswer("audio.opus", data))
	if got := line("audio.opus", []byte("same size")); got.status != 400 || !strings.Contains(got.body, `line 1: \"sha256\" is `) {
		t.Errorf("a line about other bytes: %d %s", got.status, got.body)
	}
	f.want("its line", line("audio.opus", data), 200, accepted(1))

	_, err := f.bucket.PutStream(t.Context(), "there.opus", bytes.NewReader(data), int64(len(data)), "audio/ogg")
	f.must(err)
	f.want("audio that is there", put("there.opus", data, nil), 200, audioAnswer("there.opus", data))
	for _, key := range []string{"line.opus", "audio.opus", "there.opus"} {
		info, err := f.bucket.Stat(t.Context(), key)
		f.must(err)
		var sum domain.SHA256
		var etag string
		f.must(f.c.DB().QueryRowContext(t.Context(), `SELECT sha256, etag FROM objects WHERE key = $1`, key).Scan(&sum, &etag))
		if sum != sha256.Sum256(data) || etag != info.ETag {
			t.Errorf("%s: %s of %q, the object has %q", key, sum, etag, info.ETag)
		}
	}
}

// The line of a recording names a wrong size. Its bytes are sent before and after an operator
// corrects it. Then the line comes again.
func TestCorrectedAudio(t *testing.T) {
	f := newFixture(t)
	line := fmt.Sprintf(`{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":%q,"objectKey":"a.wav","sizeBytes":5}`,
		time.Now().UTC().Add(-24*time.Hour).Format(time.RFC3339))
	put := func() answer {
		return f.send("PUT", "/api/ingest/v1/audio/a.wav", strings.NewReader("elevenbytes"), nil)
	}
	f.want("the line", f.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":2,"tooLate":0}`)
	f.want("the true bytes", put(), 409,
		`{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	size := int64(11)
	_, err := f.c.Correct(t.Context(), catalog.Correction{Tenant: "acme", ObjectKey: "a.wav", Reason: "r", Size: &size})
	f.must(err)
	f.want("the true bytes, corrected", put(), 201, audioAnswer("a.wav", []byte("elevenbytes")))
	f.want("the line again", f.send("POST", recordsPath, strings.NewReader(line), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":0,"tooLate":0}`)
}

// TestKeyPrefix attacks an object in the bucket of a tenant with a key prefix: no other tenant gets
// it by naming its key first.
func TestKeyPrefix(t *testing.T) {
	f := newFixture(t)
	_, err := f.c.SetTenant(t.Context(), "acme", func(tenant *domain.Tenant) { tenant.KeyPrefix = "acme/" }, audit.Origin{})
	f.must(err)
	_, err = f.bucket.PutStream(t.Context(), "acme/s/conf.wav", strings.NewReader("secret"), 6, "audio/wav")
	f.must(err)
	other := http.Header{"X-Organization-Id": {"other"}}
	recording := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"` +
		time.Now().UTC().Format(time.RFC3339) + `","objectKey":"acme/s/conf.wav"}`
	conversation := `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","recording":{"objectKey":"acme/s/conf.wav"}}`
	for field, line := range map[string]string{"objectKey": recording, "recording.objectKey": conversation} {
		f.want(field, f.send("POST", recordsPath, strings.NewReader(line), other), 400,
			`{"error":"line 1: \"`+field+`\" names an object that is not this tenant's","line":1,"stored":0}`)
	}
	f.want("audio", f.send("PUT", "/api/ingest/v1/audio/acme%2Fs/conf.wav", strings.NewReader("secret"), other), 400,
		`{"error":"the object key names an object that is not this tenant's"}`)
	if _, err := conversations.New(f.c.DB()).Export(t.Context(), "other", "c", false); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("the other tenant's export: %v", err)
	}
	f.want("its own line", f.send("POST", recordsPath, strings.NewReader(recording), nil), 200,
		`{"lines":1,"batches":1,"agents":0,"conversations":0,"messages":0,"recordings":1,"totals":0,"changed":2,"tooLate":0}`)
	f.want("its own bytes", f.send("PUT", "/api/ingest/v1/audio/acme/s/conf.wav", strings.NewReader("secret"), nil), 200, audioAnswer("acme/s/conf.wav", []byte("secret")))
	f.want("outside", f.send("PUT", "/api/ingest/v1/audio/other/a.wav", strings.NewReader("x"), nil), 400,
		`{"error":"the object key must begin with \"acme/\", this tenant's key prefix"}`)
}

// Parts of a key may be as long as the store takes them. Longer ones are refused with the reason:
// at once, also in a line, when it is known that the store refuses them.
func TestLongParts(t *testing.T) {
	f := newFixture(t)
	long := "a/" + strings.Repeat("x", 300)
	line := `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":1,"type":"t","timestamp":"2025-12-12T14:23:45Z","objectKey":"` + long + `"}`
	got := f.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil)
	if got.status != 400 || !strings.Contains(got.body, "the object store does not take this key (XMinioInvalidObjectName: ") {
		t.Errorf("MinIO: %d %s", got.status, got.body) // MinIO keeps each part as a file, so it refuses what S3 takes
	}
	if got := f.send("POST", recordsPath, strings.NewReader(line), nil); got.status != 200 {
		t.Errorf("a line: %d %s", got.status, got.body)
	}
	store := objstoretest.Open(t, objstoretest.MinIO(t))
	store.RefuseLongParts(true)
	f.serve(f.family(f.c, store.Recordings()))
	const reason = "an object key has a part of more than 255 bytes, which the object store does not take"
	f.want("audio", f.send("PUT", "/api/ingest/v1/audio/"+long, strings.NewReader("voice"), nil), 400, `{"error":"`+reason+`"}`)
	f.want("a line", f.send("POST", recordsPath, strings.NewReader(line), nil), 400, `{"error":"line 1: `+reason+`","line":1,"stored":0}`)
}

// Audio that the store refuses is answered with the reason, and not as an outage.
func TestStoreRefuses(t *testing.T) {
	f := newFixture(t)
	cfg := objstoretest.MinIO(t)
	objstoretest.Open(t, cfg)
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = io.WriteString(w, `<Error><Code>MethodNotAllowed</Code><Message>The specified method is not allowed.</Message></Error>`)
		return true
	}, nil)
	store, err := objstore.New(cfg)
	f.must(err)
	t.Cleanup(store.Close)
	f.serve(f.family(f.c, store.Recordings()))
	f.want("refused", f.send("PUT", "/api/ingest/v1/audio/a", strings.NewReader("voice"), nil), 500,
		`{"error":"write `+cfg.Recordings+`/a: the object store refuses this (MethodNotAllowed: The specified method is not allowed.)"}`)
}

// The platform may write audio into the bucket itself, unknown to the catalog.
func TestExistingAudio(t *testing.T) {
	f := newFixture(t)
	data := []byte("some opus")
	_, err := f.bucket.PutStream(t.Context(), "there", bytes.NewReader(data), -1, "audio/ogg")
	f.must(err)
	const differs = `{"error":"The object key exists already, with other bytes."}`
	f.want("other bytes", f.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("same size"), nil), 409, differs)
	f.want("another size", f.send("PUT", "/api/ingest/v1/audio/there", strings.NewReader("x"), nil), 409, differs)
	f.want("its bytes", f.send("PUT", "/api/ingest/v1/audio/there", bytes.NewReader(data), nil), 200, audioAnswer("there", data))
}

// erasedKeys is a catalog in which every key is of an erased recording. It keeps the uploads that
// it is told of.
type erasedKeys struct {
	ingest.Catalog
	told []catalog.Upload
}

func (c *erasedKeys) ReserveUpload(context.Context, string, string) (catalog.Reserved, error) {
	return catalog.Reserved{Erased: true, Since: 7}, nil
}

func (c *erasedKeys) RegisterUpload(_ context.Context, _ string, u catalog.Upload) error {
	c.told = append(c.told, u)
	return nil
}

// Audio of an erased recording that a killed upload left in the bucket is told to the catalog when
// it is sent again.
func TestErasedAudioThatIsThere(t *testing.T) {
	f := newFixture(t)
	c := &erasedKeys{Catalog: f.c}
	f.serve(f.family(c, f.bucket))
	data := []byte("some opus")
	_, err := f.bucket.PutStream(t.Context(), "there", bytes.NewReader(data), -1, "audio/ogg")
	f.must(err)
	for path, body := range map[string]string{"there": "same size", "none": "some opus"} {
		if a := f.send("PUT", "/api/ingest/v1/audio/"+path, strings.NewReader(body), nil); a.status != 200 || len(c.told) > 0 {
			t.Errorf("%s: %+v, told %+v", path, a, c.told)
		}
	}
	f.send("PUT", "/api/ingest/v1/audio/there", bytes.NewReader(data), nil)
	if len(c.told) != 1 || c.told[0].Key != "there" || c.told[0].New || c.told[0].Since != 7 || c.told[0].ETag == "" {
		t.Errorf("told %+v", c.told)
	}
}

// syncedAudio tells which objects were synced.
type syncedAudio struct {
	ingest.Audio
	keys []string
}

func (s *syncedAudio) Sync(key string) error {
	s.keys = append(s.keys, key)
	return nil
}

// Bytes that are there are acknowledged when they are on disk: the upload that stored them may not
// have ended, or was killed.
func TestExistingAudioIsSynced(t *testing.T) {
	f := newFixture(t)
	bucket := &syncedAudio{Audio: f.bucket}
	f.serve(f.family(f.c, bucket))
	data := []byte("some opus")
	f.want("new", f.send("PUT", "/api/ingest/v1/audio/a", bytes.NewReader(data), nil), 201, audioAnswer("a", data))
	f.want("again", f.send("PUT", "/api/ingest/v1/audio/a", bytes.NewReader(data), nil), 200, audioAnswer("a", data))
	f.want("other bytes", f.send("PUT", "/api/ingest/v1/audio/a", strings.NewReader("else opus"), nil), 409,
		`{"error":"The bytes are not those that are known for this object key: size, CRC-32 or SHA-256 differ. If these bytes are right, an operator corrects the recording (callvault recording correct)."}`)
	if fmt.Sprint(bucket.keys) != "[a]" {
		t.Errorf("synced were %q", bucket.keys)
	}
}

func TestConcurrentUploads(t *testing.T) {
	f := newFixture(t)
	for round := range 5 {
		path := fmt.Sprintf("/api/ingest/v1/audio/meet/%d", round)
		statuses := make([]int, 4)
		var group sync.WaitGroup
		for i := range statuses {
			group.Go(func() {
				// Two callers send the same bytes, two others do not.
				statuses[i] = f.send("PUT", path, strings.NewReader(fmt.Sprintf("bytes %d", max(i, 1))), nil).status
			})
		}
		group.Wait()
		slices.Sort(statuses)
		if got := fmt.Sprint(statuses); got != "[200 201 409 409]" && got != "[201 409 409 409]" {
			t.Fatalf("round %d: %v", round, got)
		}
	}
}

func TestLargeAudioWithoutLength(t *testing.T) {
	f := newFixture(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // 20 MiB: several parts
	wrong := http.Header{"X-Checksum-Crc32": {"00000000"}}
	if got := f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), wrong); got.status != 400 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	f.want("streamed", f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 201, audioAnswer("big", data))
	f.want("again", f.send("PUT", "/api/ingest/v1/audio/big", io.MultiReader(bytes.NewReader(data)), nil), 200, audioAnswer("big", data))
}
