package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

const (
	minPostgres      = 140000 // 14, as server_version_num
	spareConnections = 10     // that must be free beside those of one more process
	maxSkew          = 5 * time.Second
	smallSkew        = time.Second
	maxNamed         = 5 // webhooks that one message names

	sqliteAdvice = "let this user write to the database's file and its directory; end what holds it locked"
)

func (d *Doctor) reachCatalog(ctx context.Context) Result {
	if f, none := d.skipPart(d.s.EmbeddedCatalog, "CALLVAULT_DATABASE_URL"); none {
		return f
	}
	dsn := d.s.Config.DatabaseURL
	if path, ok := d.sqlitePath(); ok { // catalog.Open would make the file
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if d.s.EmbeddedCatalog {
				return skip("there is no catalog yet; callvault standalone makes it")
			}
			return fail("there is no file "+path, "run: callvault migrate up, which makes it; or correct CALLVAULT_DATABASE_URL")
		}
	}
	began := d.s.Now()
	c, err := d.openCatalog(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	d.closeLater(c.Close)
	keeps, err := c.DB().KeepsSessions(ctx)
	switch {
	case err != nil:
		return d.catalogFails(err)
	case !keeps:
		return fail(dsn.Place()+" is a pooler that does not keep sessions: it gives one session of PostgreSQL to several connections", db.PoolerAdvice)
	}
	d.catalog = c
	place := dsn.Place()
	if path, ok := d.sqlitePath(); ok {
		place = path
	}
	return pass("%s answers after %s", place, d.s.Now().Sub(began).Round(time.Millisecond))
}

// openCatalog opens a file of SQLite for reading alone, unless rights are to be tried.
func (d *Doctor) openCatalog(ctx context.Context) (*catalog.Catalog, error) {
	url := d.s.Config.DatabaseURL.Reveal()
	if d.s.Try {
		return catalog.Open(ctx, url, catalog.Rules{})
	}
	return catalog.OpenReadOnly(ctx, url)
}

// catalogFails says what to do about an error of the catalog.
func (d *Doctor) catalogFails(err error) Result {
	if _, ok := d.sqlitePath(); ok {
		return failErr(err, sqliteAdvice)
	}
	switch db.SQLState(err) {
	case "28P01", "28000":
		return failErr(err, "correct the user and password in CALLVAULT_DATABASE_URL, or let the server's pg_hba.conf admit them")
	case "3D000":
		return failErr(err, "create the database, or correct its name in CALLVAULT_DATABASE_URL")
	case "53300":
		return failErr(err, "the server has no connection left: raise its max_connections, or run fewer processes")
	case "42P05", "26000":
		return failErr(err, db.PoolerAdvice)
	case "42501":
		return failErr(err, "GRANT the role of CALLVAULT_DATABASE_URL the right to read the tables, or make it their owner")
	case "":
		if d.catalog != nil { // it answered before
			return failErr(err, "ask again; look into the database's log, and in pg_stat_activity what it is busy with")
		}
		return failErr(err, "start the database, or correct host and port in CALLVAULT_DATABASE_URL; look whether a firewall is between")
	}
	return failErr(err, "look into the database's log")
}

func (d *Doctor) catalogServer(ctx context.Context) Result {
	s, err := d.catalog.DB().Inspect(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	d.server = s
	saw := fmt.Sprintf("%s %s, encoding %s", s.Product, s.Version, s.Encoding)
	switch {
	case d.catalog.DB().Postgres() && s.Number < minPostgres:
		return fail(saw, "upgrade the server to PostgreSQL 14 or newer")
	case s.Encoding != "UTF8":
		return fail(saw, "create the database again with ENCODING 'UTF8'; names and transcripts hold every script")
	}
	return pass("%s", saw)
}

func (d *Doctor) catalogRights(context.Context) Result {
	_, file := d.sqlitePath()
	switch s := d.server; {
	case s.ReadOnly && file:
		return fail("the database takes no writes", sqliteAdvice)
	case s.ReadOnly:
		return fail("the database takes no writes", "point CALLVAULT_DATABASE_URL at the primary, not at a standby")
	case !s.MayCreate:
		return fail("the role may create nothing in its schema", "GRANT CREATE, USAGE ON SCHEMA public TO the role of CALLVAULT_DATABASE_URL, or run callvault migrate up as one that may")
	case s.Foreign > 0:
		return fail(fmt.Sprintf("tables that belong to another role: %d", s.Foreign), "make the role of CALLVAULT_DATABASE_URL their owner, or a member of it: ALTER TABLE … OWNER TO …")
	}
	return pass("the role may create, change and write")
}

func (d *Doctor) catalogConnections(context.Context) Result {
	s := d.server
	if s.Max == 0 {
		return skip("%s has no connections to run out of", s.Product)
	}
	saw := fmt.Sprintf("%d of %d are in use; each process of callvault opens up to %d", s.Used, s.Max, s.Pool)
	if s.Max-s.Used < s.Pool+spareConnections {
		return warn(saw, fmt.Sprintf("raise max_connections above %d for each process, or put a pooler in session mode between", s.Pool))
	}
	return pass("%s", saw)
}

// catalogSchema reads which steps were taken, beside the lock of migrations.
func (d *Doctor) catalogSchema(ctx context.Context) Result {
	steps, err := d.catalog.DB().Migrations(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	holder, err := d.catalog.DB().MigrationLock(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	locked, advice := "", ""
	if holder != nil {
		locked, advice = fmt.Sprintf("; %s holds the lock of migrations", holder), holder.Advice()
	}
	missing := 0
	for _, s := range steps {
		if !s.Applied {
			missing++
		}
	}
	if missing > 0 {
		saw := fmt.Sprintf("steps missing: %d of %d", missing, len(steps))
		if d.s.EmbeddedCatalog && d.s.Running == "" {
			return skip("%s; callvault standalone takes them when it starts", saw)
		}
		if holder != nil {
			return fail(saw+locked, advice+", then run: callvault migrate up")
		}
		return fail(saw, "run: callvault migrate up")
	}
	if err := d.catalog.DB().CheckSchema(ctx); err != nil {
		return failErr(err, "upgrade this program to the one that migrated the catalog")
	}
	saw := fmt.Sprintf("all %d steps are taken", len(steps))
	if holder != nil {
		return warn(saw+locked+", beside which nobody can migrate", advice)
	}
	return pass("%s", saw)
}

func (d *Doctor) catalogClock(ctx context.Context) Result {
	before := d.s.Now()
	at, err := d.catalog.Now(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	skew := before.Add(d.s.Now().Sub(before) / 2).Sub(at)
	saw := fmt.Sprintf("this host's clock is %s from the catalog's", skew.Abs().Round(time.Millisecond))
	switch advice := "synchronise both hosts by NTP; a host more than " + maxSkew.String() + " off is not ready"; {
	case skew.Abs() > maxSkew:
		return fail(saw, advice)
	case skew.Abs() > smallSkew:
		return warn(saw, advice)
	}
	return pass("%s", saw)
}

func (d *Doctor) signingKeys(ctx context.Context) Result {
	if d.unusable("CALLVAULT_MASTER_KEY") {
		return skip("because CALLVAULT_MASTER_KEY cannot be used")
	}
	stored, err := d.catalog.SigningKeys(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	master := d.s.Config.MasterKey.Reveal()
	ring, err := auth.OpenKeyring(ctx, d.catalog, master, d.s.Now)
	if err != nil {
		advice := "run: callvault migrate up, which makes them"
		if domain.KindOf(err) == domain.KindInvalid {
			advice = "set CALLVAULT_MASTER_KEY, the same for every process; without the right one every token and link is lost"
		}
		return failErr(err, advice)
	}
	d.public = ring.Public(ctx)
	plain := 0
	for _, k := range stored {
		if !k.Encrypted {
			plain++
		}
	}
	switch {
	case plain > 0 && master != "":
		return warn(fmt.Sprintf("%d of %d are not encrypted", plain, len(stored)), "run: callvault migrate up, which encrypts them with CALLVAULT_MASTER_KEY")
	case plain > 0 && !d.s.EmbeddedCatalog:
		return warn(fmt.Sprintf("%d keys are there, and whoever reads the catalog can read them", plain),
			"set CALLVAULT_MASTER_KEY for every process (openssl rand -base64 32), then run: callvault migrate up")
	}
	return pass("%d keys are there and can be read", len(stored))
}

// webhookSecrets checks that workers can read the secret of every webhook.
func (d *Doctor) webhookSecrets(ctx context.Context) Result {
	if d.unusable("CALLVAULT_MASTER_KEY") {
		return skip("because CALLVAULT_MASTER_KEY cannot be used")
	}
	endpoints, err := d.catalog.EncryptedEndpoints(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	vault, err := auth.NewVault(d.s.Config.MasterKey.Reveal())
	if err != nil {
		return failErr(err, "correct CALLVAULT_MASTER_KEY")
	}
	var lost []string
	for _, e := range endpoints {
		if _, err := vault.Open(webhooks.AssociatedData(e.ID), e.Secret.Data, e.Secret.Encrypted); err != nil {
			lost = append(lost, e.ID+" of "+e.Tenant)
		}
	}
	if len(lost) > 0 {
		saw := fmt.Sprintf("CALLVAULT_MASTER_KEY does not open the secrets of %d of %d webhooks: %s", len(lost), len(endpoints), strings.Join(lost[:min(len(lost), maxNamed)], ", "))
		return fail(saw, "set the right key for every process; where it is right, give the webhook another secret: callvault webhook rotate --tenant TENANT ID --grace 0")
	}
	return pass("%d are stored encrypted and can be read", len(endpoints))
}

// maxOverdue is how long an hour may be due without a warning.
const maxOverdue = 15 * time.Minute

func (d *Doctor) hours(ctx context.Context) Result {
	s, err := d.catalog.Backlog(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	saw := fmt.Sprintf("%d due, %d being built, %d failed", s.Due, s.Building, s.Yesterday.Failed+s.Other.Failed)
	switch {
	case !s.OldestDue.IsZero() && s.Now.Sub(s.OldestDue) > maxOverdue:
		return warn(saw+", the oldest due since "+s.OldestDue.Format(time.RFC3339), "look whether a scheduler and enough workers run, and into their logs")
	case s.Yesterday.Failed+s.Other.Failed > 0:
		return warn(saw, "the console's page Failed names the reasons; mend them, then retry there")
	case s.Short > 0:
		return warn(fmt.Sprintf("%s; fewer recordings than their totals say: %s", saw, english.Plural(int(s.Short), "day", "")), "the console's calendar shows them as incomplete; have the platform send the recordings that were never sent, or correct a wrong total: callvault total correct")
	}
	return pass("%s", saw)
}
