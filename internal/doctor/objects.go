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
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

const (
	storeSkew = 15 * time.Minute // S3 refuses requests that are further from its own time
	warnSkew  = time.Minute
)

func probeBytes() []byte { return []byte("callvault doctor wrote this; it may go\n") }

func (d *Doctor) reachStore(ctx context.Context) Result {
	f, none := d.skipPart(d.s.EmbeddedObjects, "CALLVAULT_S3_ENDPOINT", "CALLVAULT_S3_ACCESS_KEY", "CALLVAULT_S3_SECRET_KEY",
		"CALLVAULT_RECORDINGS_BUCKET", "CALLVAULT_ARCHIVES_BUCKET")
	if none {
		return f
	}
	c := d.s.Config
	if d.s.EmbeddedObjects {
		if d.s.Unopened != nil {
			return failErr(d.s.Unopened, "run callvault standalone as the user that owns the data directory: it makes missing folders, and takes over those of a former version")
		}
		d.recordings, d.archives = d.s.Recordings, d.s.Archives
		return pass("the buckets are folders in %s", filepath.Join(c.Data, "objects"))
	}
	store, err := objstore.New(objstore.Config{
		Endpoint: c.S3Endpoint, PublicEndpoint: c.S3Public, Region: c.S3Region, AccessKey: c.S3AccessKey.Reveal(),
		SecretKey: c.S3SecretKey.Reveal(), Recordings: c.Recordings, Archives: c.Archives, Lock: objstore.ParseLockMode(c.ArchiveLock),
	})
	if err != nil {
		return failErr(err, "correct CALLVAULT_S3_ENDPOINT")
	}
	d.store, d.recordings, d.archives = store, store.Recordings(), store.Archives()
	d.closeLater(func() error {
		store.Close()
		return nil
	})
	answer, err := d.get(ctx, http.MethodHead, c.S3Endpoint)
	if err != nil {
		return failErr(err, "start the object store, or correct CALLVAULT_S3_ENDPOINT; look whether a firewall is between")
	}
	if name := answer.header.Get("Server"); name != "" {
		return pass("%s answers, and calls itself %s", c.S3Endpoint, name)
	}
	return pass("%s answers", c.S3Endpoint)
}

func (d *Doctor) storeClock(ctx context.Context) Result {
	if d.s.EmbeddedObjects {
		return skip("the directory of objects has this host's clock")
	}
	before := d.s.Now()
	answer, err := d.get(ctx, http.MethodHead, d.s.Config.S3Endpoint)
	if err != nil {
		return failErr(err, "start the object store, or correct CALLVAULT_S3_ENDPOINT")
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
	case skew.Abs() >= warnSkew:
		return warn(saw, "synchronise this host by NTP: from 15 minutes on the store refuses every request")
	}
	return pass("%s", saw)
}

// step uses one right.
type step struct {
	words string // what it does, for messages
	use   func() error
}

// bucketSteps tries the rights that callvault needs in both buckets. write writes data under key.
func bucketSteps(ctx context.Context, b Bucket, dir, key string, data []byte, write func() error) []step {
	return []step{
		{"write", write},
		{"read", func() error { return checkObject(ctx, b, key, 0, data) }},
		{"read a range", func() error { return checkObject(ctx, b, key, 5, data) }},
		{"upload in parts", func() error { return tryUpload(ctx, b, dir) }},
	}
}

// recordingsBucket reads and writes as an upload of audio does. callvault needs no right to delete
// there: deleting is tried on the probe alone, and may be refused.
func (d *Doctor) recordingsBucket(ctx context.Context) Result {
	b, dir := d.recordings, domain.ProbesFolder(domain.RecordingsPrefix)
	if !d.s.Try || !d.s.Config.TakeAudio {
		return d.remembered(ctx, b, objstore.RecordingsNeed())
	}
	key := dir + "probe"
	data := []byte(key) // as migrate up writes it; where it can't delete, it leaves its probe
	f := d.runSteps(ctx, b, bucketSteps(ctx, b, dir, key, data, func() error {
		_, err := b.PutStream(ctx, key, bytes.NewReader(data), int64(len(data)), "text/plain")
		if domain.KindOf(err) == domain.KindConflict { // a former run could not delete it
			return nil
		}
		return err
	}))
	if f.Status == OK {
		f = d.tryBucket(ctx, b, dir, append(objstore.RecordingsNeed(), objstore.AudioNeeds()...), f)
	}
	if f.Status != OK {
		f.Advice += "; or set CALLVAULT_TAKE_AUDIO=off, where audio comes there by other means"
		return f
	}
	// It deletes only what this program has written, not an object that merely has the same name.
	if err := checkObject(ctx, b, key, 0, data); err == nil && b.Remove(ctx, key) != nil {
		return pass("%s; deleting is refused, which callvault does not need: %s stays", f.Saw, key)
	}
	return f
}

func (d *Doctor) archivesBucket(ctx context.Context) Result {
	b, dir, data := d.archives, domain.ProbesFolder(d.s.Config.Prefix), probeBytes()
	needs := append(objstore.ArchivesNeed(), objstore.LockNeeds(objstore.ParseLockMode(d.s.Config.ArchiveLock))...)
	if !d.s.Try {
		return d.remembered(ctx, b, needs)
	}
	key := dir + rand.Text()
	steps := bucketSteps(ctx, b, dir, key, data, func() error {
		_, err := b.Put(ctx, key, data, objstore.PutOptions{ContentType: "text/plain", IfNoneMatch: true})
		return err
	})
	f := d.runSteps(ctx, b, append(steps, step{"delete", func() error { return b.Remove(ctx, key) }}))
	if f.Status != OK {
		return f
	}
	return d.tryBucket(ctx, b, dir, needs, f)
}

// tryBucket tries the bucket as migrate up does, and stores no result.
func (d *Doctor) tryBucket(ctx context.Context, b Bucket, dir string, needs []string, well Result) Result {
	s3, ok := b.(*objstore.Bucket)
	if !ok { // a directory can do all that callvault needs
		return well
	}
	list, err := s3.Try(ctx, dir, true)
	if err != nil {
		return failErr(err, d.storeAdvice(b.Name(), "write", err))
	}
	if lack := objstore.Lacking(b.Name(), list, needs); lack != "" {
		return fail(lack, objstore.LackAdvice)
	}
	return well
}

// remembered says what migrate up stored about a bucket. It asks the store only whether the bucket
// exists.
func (d *Doctor) remembered(ctx context.Context, b Bucket, needs []string) Result {
	if f := d.runSteps(ctx, b, nil); f.Status != OK {
		return f
	}
	if d.s.EmbeddedObjects {
		return pass("%s is there; a directory can do what callvault relies on", b.Name())
	}
	key := catalog.StoreKey{Endpoint: d.s.Config.S3Endpoint, Bucket: b.Name()}
	var tried []domain.Capability
	err := errors.New("no catalog")
	if d.catalog != nil {
		tried, err = d.catalog.StoreCapabilities(ctx, key)
	}
	if err != nil {
		return skip("%s is there; what it can do stands in the catalog, which cannot be read", b.Name())
	}
	if len(tried) == 0 {
		return warn(b.Name()+" is there, and was never tried for what callvault relies on", "run: callvault migrate up")
	}
	when := tried[0].Tried.UTC().Format(time.RFC3339)
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
	if b == d.recordings && objstore.Lacks(tried, objstore.CanLongParts) {
		saw += "; it takes no keys with parts of more than 255 bytes"
	}
	return pass("%s", saw)
}

// runSteps looks for the bucket, and then takes the steps up to the first that fails.
func (d *Doctor) runSteps(ctx context.Context, b Bucket, steps []step) Result {
	done := make([]string, 0, len(steps))
	for _, s := range append([]step{{lookWords, func() error { return b.Check(ctx) }}}, steps...) {
		if err := s.use(); err != nil {
			if noBucket(err) {
				return fail(b.Name()+": there is no bucket of this name", d.storeAdvice(b.Name(), s.words, err))
			}
			return failErr(fmt.Errorf("cannot %s: %w", s.words, err), d.storeAdvice(b.Name(), s.words, err))
		}
		done = append(done, s.words)
	}
	return pass("%s: could %s", b.Name(), strings.Join(done[1:], ", "))
}

func noBucket(err error) bool { return strings.Contains(err.Error(), "no bucket of this name") }

// lookWords is what every examination of a bucket begins with.
const lookWords = "look for the bucket"

// storeAdvice says what to do about an error of a step. What is often wrong with both buckets at
// once gives the same advice for both.
func (d *Doctor) storeAdvice(bucket, words string, err error) string {
	const keys = "correct CALLVAULT_S3_ACCESS_KEY and CALLVAULT_S3_SECRET_KEY, or let their user "
	switch {
	case noBucket(err):
		return "run: callvault migrate up, which makes missing buckets; or correct CALLVAULT_RECORDINGS_BUCKET and CALLVAULT_ARCHIVES_BUCKET"
	case objstore.Denied(err) && words == lookWords:
		c := d.s.Config
		return keys + fmt.Sprintf("look for both buckets (s3:ListBucket on arn:aws:s3:::%s and arn:aws:s3:::%s)", c.Recordings, c.Archives)
	case objstore.Denied(err):
		return keys + words + " in " + bucket + actions(bucket, words)
	case objstore.Advice(err) != "":
		return objstore.Advice(err)
	}
	return "look into the object store's log; is its disk full?"
}

// actions names the rights as S3's policies do.
func actions(bucket, words string) string {
	names := map[string]string{
		"write": "s3:PutObject", "read": "s3:GetObject", "read a range": "s3:GetObject",
		"upload in parts": "s3:PutObject and s3:AbortMultipartUpload", "delete": "s3:DeleteObject; where versions are kept s3:ListBucketVersions and s3:DeleteObjectVersion too",
	}
	return " (" + names[words] + " on arn:aws:s3:::" + bucket + ")"
}

// checkObject reads an object, beginning at the byte from, and compares it.
func checkObject(ctx context.Context, b Bucket, key string, from int64, want []byte) error {
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

// tryUpload begins an upload in parts below dir, and aborts it.
func tryUpload(ctx context.Context, b Bucket, dir string) error {
	key, data := dir+rand.Text(), probeBytes()
	id, err := b.NewUpload(ctx, key, objstore.UploadOptions{ContentType: "text/plain", PartSize: int64(len(data))})
	if err != nil {
		return err
	}
	_, err = b.PutPart(ctx, key, id, 1, data, crc32.ChecksumIEEE(data))
	return errors.Join(err, b.Abort(ctx, key, id))
}

// links fetches a probe by a presigned URL, as a redirected download does.
func (d *Doctor) links(ctx context.Context) Result {
	c := d.s.Config
	if c.DownloadMode == "proxy" {
		return skip("downloads pass through the API")
	}
	if d.store == nil {
		return skip("downloads from a directory pass through the API")
	}
	if !d.s.Try {
		return skip("only with --try: it needs an object")
	}
	if d.unusable("CALLVAULT_S3_PUBLIC_ENDPOINT") {
		return skip("because CALLVAULT_S3_PUBLIC_ENDPOINT cannot be used")
	}
	where := cmp.Or(c.S3Public, c.S3Endpoint)
	b, key, data := d.store.Archives(), domain.ProbesFolder(c.Prefix)+rand.Text(), probeBytes()
	if _, err := b.Put(ctx, key, data, objstore.PutOptions{IfNoneMatch: true}); err != nil {
		return failErr(err, cmp.Or(objstore.Advice(err), "look into the object store's log"))
	}
	f := d.fetchLink(ctx, b, key, where, data)
	if err := b.Remove(context.WithoutCancel(ctx), key); err != nil && f.Status == OK {
		return failErr(err, cmp.Or(objstore.Advice(err), "look into the object store's log"))
	}
	return f
}

func (d *Doctor) fetchLink(ctx context.Context, b *objstore.Bucket, key, where string, data []byte) Result {
	link, err := b.Presign(ctx, key, time.Minute, objstore.PresignOptions{Filename: "probe.txt"})
	if err != nil {
		return failErr(err, "correct CALLVAULT_S3_PUBLIC_ENDPOINT")
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
	saw := "a signed link at " + where + " gives the object"
	if u, err := url.Parse(where); err == nil && u.Scheme != "https" && !loopback(u.Hostname()) {
		return warn(saw+", unencrypted", "put TLS in front of it and begin CALLVAULT_S3_PUBLIC_ENDPOINT with https, or set CALLVAULT_DOWNLOAD_MODE=proxy: recordings can be read on their way")
	}
	return pass("%s", saw)
}
