package doctor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/queue"
)

// Subject is an installation as this process is configured to reach it.
type Subject struct {
	Config   config.Config // with the addresses of embedded parts, where they run
	Settings *config.Error // settings that cannot be used; nil for none
	Unknown  []string      // variables that look like settings and are none

	// Which parts are those of a standalone callvault.
	EmbeddedCatalog, EmbeddedQueue, EmbeddedObjects bool
	// Absent says why embedded parts cannot be examined; "" when they can.
	Absent string
	// Running is the URL of the running standalone process whose parts these are; "" for none.
	Running string

	// Buckets of the embedded object store; nil for others.
	Recordings, Archives Bucket
	Unopened             error // why they can't be used; nil when they can

	// Try tries rights, by keys, objects and files that are removed again. Without it nothing is
	// written anywhere.
	Try   bool
	Limit time.Duration // of each check
	Now   func() time.Time
}

// Bucket is what the checks ask of a bucket.
type Bucket interface {
	objstore.Marked
	Check(ctx context.Context) error
	PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (objstore.Stored, error)
	NewUpload(ctx context.Context, key string, opts objstore.UploadOptions) (string, error)
	PutPart(ctx context.Context, key, uploadID string, n int, data []byte, sum uint32) (objstore.Part, error)
	Abort(ctx context.Context, key, uploadID string) error
	Keys(ctx context.Context, folder string) ([]string, error)
	Remove(ctx context.Context, key string) error
}

// Doctor examines a Subject once.
type Doctor struct {
	s      Subject
	client *http.Client

	// The checks that connect to these parts set them, and those that need these checks use them.
	catalog *catalog.Catalog
	server  db.Server // of the catalog
	queue   *queue.Queue
	store   *objstore.Store // nil for the embedded one
	// Buckets of either.
	recordings, archives Bucket
	public               jose.JSONWebKeySet // of the catalog's signing keys

	mu     sync.Mutex
	opened []func() error // what closes the parts
	closed bool
}

// closeLater registers a function that closes a part when the examination is over. For a check that
// ends after that, it calls the function at once.
func (d *Doctor) closeLater(closing func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = closing() // the examination has ended, and with it what could report the error
		return
	}
	d.opened = append(d.opened, closing)
}

// closeAll closes the parts.
func (d *Doctor) closeAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	errs := make([]error, 0, len(d.opened))
	for _, closing := range d.opened {
		errs = append(errs, closing())
	}
	return errors.Join(errs...)
}

// Examine runs every check, and reports each when it and all before it have ended. Its error is
// about closing the parts.
func Examine(ctx context.Context, s Subject, report func(Result)) ([]Result, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	d := &Doctor{s: s, client: &http.Client{Transport: transport, CheckRedirect: followRedirect}}
	results := examine(ctx, d.checks(), s.Limit, d.scrub(), report)
	transport.CloseIdleConnections()
	return results, d.closeAll()
}

// Names lists every check, in order.
func Names() []string {
	var names []string
	for _, c := range (&Doctor{}).checks() {
		names = append(names, c.name)
	}
	return names
}

func (d *Doctor) checks() []check {
	return []check{
		{name: "settings", run: d.settings},
		{name: "schedule", run: d.schedule},
		{name: "disk", run: d.disk},
		{name: "catalog", run: d.reachCatalog},
		{name: "catalog server", needs: []string{"catalog"}, run: d.catalogServer},
		{name: "catalog rights", needs: []string{"catalog server"}, run: d.catalogRights},
		{name: "catalog connections", needs: []string{"catalog server"}, run: d.catalogConnections},
		{name: "catalog schema", needs: []string{"catalog"}, run: d.catalogSchema},
		{name: "catalog clock", needs: []string{"catalog schema"}, run: d.catalogClock},
		{name: "signing keys", needs: []string{"catalog schema"}, run: d.signingKeys},
		{name: "webhook secrets", needs: []string{"catalog schema"}, run: d.webhookSecrets},
		{name: "log", needs: []string{"catalog schema", "signing keys"}, run: d.log},
		{name: "redis", run: d.reachQueue},
		{name: "redis server", needs: []string{"redis"}, run: d.queueServer},
		{name: "redis memory", needs: []string{"redis server"}, run: d.queueMemory},
		{name: "redis rights", needs: []string{"redis server"}, run: d.queueRights},
		{name: "objects", run: d.reachStore},
		{name: "objects clock", needs: []string{"objects"}, run: d.storeClock},
		{name: "recordings bucket", needs: []string{"objects"}, after: []string{"catalog schema"}, run: d.recordingsBucket},
		{name: "archives bucket", needs: []string{"objects"}, after: []string{"catalog schema"}, run: d.archivesBucket},
		{name: "installation", needs: []string{"catalog schema", "archives bucket"}, run: d.installation},
		{name: "bucket rules", needs: []string{"catalog schema", "archives bucket"}, run: d.bucketRules},
		{name: "erasures", needs: []string{"installation"}, run: d.erasures},
		{name: "archives lock", needs: []string{"catalog schema", "archives bucket"}, run: d.archivesLock},
		{name: "links to objects", needs: []string{"archives bucket"}, run: d.links},
		{name: "workers", needs: []string{"redis"}, run: d.workers},
		{name: "hours", needs: []string{"catalog schema"}, run: d.hours},
		{name: "public URL", after: []string{"signing keys"}, run: d.publicURL},
		{name: "outside issuer", run: d.outsideIssuer},
	}
}

// unusable reports whether a setting cannot be used. Checks that depend on it are skipped.
func (d *Doctor) unusable(variable string) bool { return d.s.Settings.Has(variable) }

// skipPart says why a part cannot be examined; false when it can.
func (d *Doctor) skipPart(embedded bool, variables ...string) (Result, bool) {
	if at := slices.IndexFunc(variables, d.unusable); at >= 0 {
		return skip("because %s cannot be used", variables[at]), true
	}
	if embedded && d.s.Absent != "" {
		return skip("because disk is failing"), true
	}
	return Result{}, false
}

// ownWords stand in the doctor's texts whatever the secrets are. A secret that is one of them
// stays: gaps in ordinary sentences would give it away.
func ownWords() []string {
	return []string{"callvault", "password", "postgres", "redis", "secret", "archives", "recordings"}
}

// scrub returns a function that replaces every secret of the configuration in a text. Secrets can
// be in errors of servers too.
func (d *Doctor) scrub() func(string) string {
	var secrets []string
	add := func(text string) {
		if len(text) >= 4 && !slices.Contains(ownWords(), text) { // a shorter one may be part of ordinary words
			secrets = append(secrets, text, url.QueryEscape(text), url.PathEscape(text))
		}
	}
	c := d.s.Config
	eachSecret(reflect.ValueOf(c), func(s config.Secret) {
		u, err := url.Parse(s.Reveal())
		if err != nil || !strings.Contains(s.Reveal(), "://") {
			add(s.Reveal())
			return
		}
		if password, set := u.User.Password(); set {
			add(password)
		}
		for name, values := range u.Query() {
			if strings.Contains(name, "password") {
				add(values[0])
			}
		}
	})
	// If one secret begins with another, the longer one must be replaced first: else its end stays.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, text := range secrets {
		pairs = append(pairs, text, "***")
	}
	return strings.NewReplacer(pairs...).Replace
}

func eachSecret(v reflect.Value, visit func(config.Secret)) {
	for i := range v.NumField() {
		f := v.Field(i)
		if s, ok := f.Interface().(config.Secret); ok && s != "" {
			visit(s)
		} else if f.Kind() == reflect.Struct {
			eachSecret(f, visit)
		}
	}
}
