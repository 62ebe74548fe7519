package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

const (
	// storeSkew is what S3 allows between a request's time and its own.
	storeSkew  = 15 * time.Minute
	lookForNTP = time.Minute
)

func probeBytes() []byte { return []byte("callvault doctor wrote this; it may go\n") }

func (d *Doctor) reachStore(ctx context.Context) finding {
	f, none := d.noPart(d.s.EmbeddedObjects, "CALLVAULT_S3_ENDPOINT", "CALLVAULT_S3_ACCESS_KEY", "CALLVAULT_S3_SECRET_KEY",
		"CALLVAULT_RECORDINGS_BUCKET", "CALLVAULT_ARCHIVES_BUCKET")
	if none {
		return f
	}
	c := d.s.Config
	store, err := objstore.New(objstore.Config{
		Endpoint: c.S3Endpoint, PublicEndpoint: c.S3Public, Region: c.S3Region, AccessKey: c.S3AccessKey.Reveal(),
		SecretKey: c.S3SecretKey.Reveal(), Recordings: c.Recordings, Archives: c.Archives, Sync: d.s.Sync, CheckKey: d.s.CheckKey,
	})
	if err != nil {
		return failed(err, "correct CALLVAULT_S3_ENDPOINT")
	}
	d.store = store
	d.keep(func() error {
		store.Close()
		return nil
	})
	answer, err := d.get(ctx, http.MethodHead, c.S3Endpoint)
	if err != nil {
		return failed(err, "start the object store, or correct CALLVAULT_S3_ENDPOINT; look whether a firewall is between")
	}
	if name := answer.header.Get("Server"); name != "" {
		return fine("%s answers, and calls itself %s", c.S3Endpoint, name)
	}
	return fine("%s answers", c.S3Endpoint)
}

func (d *Doctor) storeClock(ctx context.Context) finding {
	if d.s.EmbeddedObjects {
		return skip("the embedded store has this host's clock")
	}
	before := d.s.Now()
	answer, err := d.get(ctx, http.MethodHead, d.s.Config.S3Endpoint)
	if err != nil {
		return failed(err, "start the object store, or correct CALLVAULT_S3_ENDPOINT")
	}
	at, err := http.ParseTime(answer.header.Get("Date"))
	if err != nil {
		return skip("the object store does not say what time it has")
	}
	skew := before.Sub(at).Round(time.Second)
	saw := fmt.Sprintf("this host's clock is %s from the object store's", skew.Abs())
	switch {
	case skew.Abs() >= storeSkew:
		return fail(saw, "synchronise this host by NTP: the store refuses requests more than 15 minutes off")
	case skew.Abs() >= lookForNTP:
		return warn(saw, "synchronise this host by NTP: from 15 minutes on the store refuses every request")
	}
	return fine("%s", saw)
}

// step is one use of a right, in words.
type step struct {
	words string
	use   func() error
}

// recordingsBucket reads and writes as uploads of audio do. Deleting is no right that callvault
// needs there: it is tried on the probe alone, and may be refused.
func (d *Doctor) recordingsBucket(ctx context.Context) finding {
	b, dir := d.store.Recordings(), domain.ProbesFolder(domain.RecordingsPrefix)
	if !d.s.Try || !d.s.Config.TakeAudio {
		return d.known(ctx, b, "CALLVAULT_RECORDINGS_BUCKET", objstore.RecordingsNeed())
	}
	key := dir + "probe"
	data := []byte(key) // what migrate up leaves where nothing can be deleted
	f := d.use(b, "CALLVAULT_RECORDINGS_BUCKET", []step{
		{"look for the bucket", func() error { return b.Check(ctx) }},
		{"write", func() error {
			_, err := b.PutStream(ctx, key, bytes.NewReader(data), int64(len(data)), "text/plain")
			if domain.KindOf(err) == domain.KindConflict { // left by one that might not delete it
				return nil
			}
			return err
		}},
		{"read", func() error { return same(ctx, b, key, 0, data) }},
		{"read a range", func() error { return same(ctx, b, key, 5, data) }},
		{"upload in parts", func() error { return d.parts(ctx, b, dir) }},
	})
	if f.status == OK {
		f = d.tries(ctx, b, dir, append(objstore.RecordingsNeed(), objstore.AudioNeeds()...), f)
	}
	if f.status != OK {
		f.advice += "; or set CALLVAULT_TAKE_AUDIO=off, where audio comes there by other means"
		return f
	}
	// Only what this program has written goes, and nothing that merely has its name.
	if err := same(ctx, b, key, 0, data); err == nil && b.Remove(ctx, key) != nil {
		return fine("%s; deleting is refused, which callvault does not need: %s stays", f.saw, key)
	}
	return f
}

func (d *Doctor) archivesBucket(ctx context.Context) finding {
	b, dir, data := d.store.Archives(), domain.ProbesFolder(d.s.Config.Prefix), probeBytes()
	if !d.s.Try {
		return d.known(ctx, b, "CALLVAULT_ARCHIVES_BUCKET", objstore.ArchivesNeed())
	}
	key := dir + rand.Text()
	f := d.use(b, "CALLVAULT_ARCHIVES_BUCKET", []step{
		{"look for the bucket", func() error { return b.Check(ctx) }},
		{"write", func() error {
			_, err := b.Put(ctx, key, data, objstore.PutOptions{ContentType: "text/plain", IfNoneMatch: true})
			return err
		}},
		{"read", func() error { return same(ctx, b, key, 0, data) }},
		{"read a range", func() error { return same(ctx, b, key, 5, data) }},
		{"upload in parts", func() error { return d.parts(ctx, b, dir) }},
		{"delete", func() error { return b.Remove(ctx, key) }},
	})
	if f.status != OK {
		return f
	}
	return d.tries(ctx, b, dir, objstore.ArchivesNeed(), f)
}

// tries has the bucket tried as migrate up does, and remembers nothing.
func (d *Doctor) tries(ctx context.Context, b *objstore.Bucket, dir string, needs []string, well finding) finding {
	list, err := b.Try(ctx, dir, true)
	if err != nil {
		return failed(err, storeAdvice(b.Name(), "", "write", err))
	}
	if lack := objstore.Lacking(b.Name(), list, needs); lack != "" {
		return fail(lack, objstore.LackAdvice)
	}
	return well
}

// known says what is remembered of a bucket, and asks the store for nothing but the bucket.
func (d *Doctor) known(ctx context.Context, b *objstore.Bucket, variable string, needs []string) finding {
	if f := d.use(b, variable, []step{{"look for the bucket", func() error { return b.Check(ctx) }}}); f.status != OK {
		return f
	}
	key := catalog.StoreKey{Endpoint: d.s.Config.S3Endpoint, Bucket: b.Name()}
	if d.s.EmbeddedObjects {
		key.Endpoint = catalog.EmbeddedStore
	}
	if d.catalog == nil {
		return skip("%s is there; the catalog, which knows what it can do, does not answer", b.Name())
	}
	list, err := d.catalog.StoreCapabilities(ctx, key)
	if err != nil {
		return skip("%s is there; the catalog, which knows what it can do, does not answer", b.Name())
	}
	if len(list) == 0 {
		return warn(b.Name()+" is there, and was never tried for what callvault relies on", "run: callvault migrate up")
	}
	tried := make([]objstore.Tried, len(list))
	for i, l := range list {
		tried[i] = objstore.Tried{Name: l.Name, Has: l.Has, Saw: l.Saw}
	}
	when := list[0].Tried.UTC().Format(time.RFC3339)
	if lack := objstore.Lacking(b.Name(), tried, needs); lack != "" {
		return fail(lack+", when it was tried at "+when, objstore.LackAdvice)
	}
	saw := fmt.Sprintf("%s is there, and could do what callvault relies on when it was tried at %s", b.Name(), when)
	if lack := objstore.Lacking(b.Name(), tried, objstore.AudioNeeds()); lack != "" {
		saw += "; audio is not taken in: " + lack
	}
	if objstore.Lacks(tried, objstore.CanChecksum) {
		saw += "; checksums are left out"
	}
	if b == d.store.Recordings() && objstore.Lacks(tried, objstore.CanLongParts) {
		saw += "; it takes no keys with parts of more than 255 bytes"
	}
	return fine("%s", saw)
}

func (d *Doctor) use(b *objstore.Bucket, variable string, steps []step) finding {
	done := make([]string, 0, len(steps))
	for _, s := range steps {
		if err := s.use(); err != nil {
			if noBucket(err) {
				return fail(b.Name()+": there is no bucket of this name", storeAdvice(b.Name(), variable, s.words, err))
			}
			return failed(fmt.Errorf("cannot %s: %w", s.words, err), storeAdvice(b.Name(), variable, s.words, err))
		}
		done = append(done, s.words)
	}
	return fine("%s: could %s", b.Name(), strings.Join(done[min(1, len(steps)-1):], ", "))
}

func noBucket(err error) bool { return strings.Contains(err.Error(), "no bucket of this name") }

func storeAdvice(bucket, variable, words string, err error) string {
	switch {
	case noBucket(err):
		return "run: callvault migrate up, which makes missing buckets; or correct " + variable
	case objstore.Denied(err):
		return "correct CALLVAULT_S3_ACCESS_KEY and CALLVAULT_S3_SECRET_KEY, or let their user " + words + " in " + bucket + actions(bucket, words)
	case objstore.Advice(err) != "":
		return objstore.Advice(err)
	}
	return "look into the object store's log; is its disk full?"
}

// actions names the rights in the language of S3's policies.
func actions(bucket, words string) string {
	names := map[string]string{
		"look for the bucket": "s3:ListBucket", "write": "s3:PutObject", "read": "s3:GetObject", "read a range": "s3:GetObject",
		"upload in parts": "s3:PutObject and s3:AbortMultipartUpload", "delete": "s3:DeleteObject; where versions are kept s3:ListBucketVersions and s3:DeleteObjectVersion too",
	}
	return " (" + names[words] + " on arn:aws:s3:::" + bucket + ")"
}

// same reads an object from a byte on and compares it.
func same(ctx context.Context, b *objstore.Bucket, key string, from int64, want []byte) error {
	o, err := b.Get(ctx, key, objstore.GetOptions{From: from})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(o.Body, 1<<10))
	if err := errors.Join(err, o.Body.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want[from:]) {
		return domain.Errorf(domain.KindStoreFault, "%s/%s does not hold what was written", b.Name(), key)
	}
	return nil
}

// parts begins an upload in parts below dir, and gives it up.
func (d *Doctor) parts(ctx context.Context, b *objstore.Bucket, dir string) error {
	key, data := dir+rand.Text(), probeBytes()
	id, err := b.NewUpload(ctx, key, "text/plain")
	if err != nil {
		return err
	}
	_, err = b.PutPart(ctx, key, id, 1, data, crc32.ChecksumIEEE(data))
	return errors.Join(err, b.Abort(ctx, key, id))
}

// links fetches a probe as a tenant's download does that is redirected.
func (d *Doctor) links(ctx context.Context) finding {
	c := d.s.Config
	if c.DownloadMode == "proxy" {
		return skip("downloads pass through the API")
	}
	if !d.s.Try {
		return skip("only with --try: it needs an object")
	}
	if d.bad("CALLVAULT_S3_PUBLIC_ENDPOINT") {
		return skip("because CALLVAULT_S3_PUBLIC_ENDPOINT cannot be used")
	}
	where := c.S3Public
	if where == "" {
		where = c.S3Endpoint
	}
	b, key, data := d.store.Archives(), domain.ProbesFolder(c.Prefix)+rand.Text(), probeBytes()
	if _, err := b.Put(ctx, key, data, objstore.PutOptions{IfNoneMatch: true}); err != nil {
		return failed(err, cmp.Or(objstore.Advice(err), "look into the object store's log"))
	}
	f := d.fetchLink(ctx, b, key, where, data)
	if err := b.Remove(context.WithoutCancel(ctx), key); err != nil && f.status == OK {
		return failed(err, cmp.Or(objstore.Advice(err), "look into the object store's log"))
	}
	return f
}

func (d *Doctor) fetchLink(ctx context.Context, b *objstore.Bucket, key, where string, data []byte) finding {
	link, err := b.Presign(ctx, key, time.Minute, objstore.PresignOptions{Filename: "probe.txt"})
	if err != nil {
		return failed(err, "correct CALLVAULT_S3_PUBLIC_ENDPOINT")
	}
	answer, err := d.get(ctx, http.MethodGet, link)
	switch {
	case err != nil:
		return warn(err.Error(), where+" is where clients are sent to, and this host does not reach it: try it from outside, or correct CALLVAULT_S3_PUBLIC_ENDPOINT")
	case answer.code != http.StatusOK:
		return fail(where+" answers a signed link with "+answer.status,
			"let what stands there pass path, query and Host on unchanged, to the object store of CALLVAULT_S3_ENDPOINT; or set CALLVAULT_DOWNLOAD_MODE=proxy")
	case !bytes.Equal(answer.body, data):
		return fail(where+" answers a signed link with other bytes", "correct CALLVAULT_S3_PUBLIC_ENDPOINT: something else answers there")
	}
	return fine("a signed link at %s gives the object", where)
}
