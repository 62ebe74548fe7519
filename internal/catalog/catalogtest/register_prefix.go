package catalogtest

import (
	"fmt"
	"sync"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

const notTheirs = "names an object that is not this tenant's"

func (f *fixture) setPrefix(tenant, prefix string) error {
	f.Helper()
	_, err := f.c.SetTenant(f.ctx, tenant, func(t *domain.Tenant) { t.KeyPrefix = prefix }, audit.Origin{})
	return err
}

// named is a recording under a key.
func (f *fixture) named(key string) domain.Recording {
	rec := f.recording(1, "s1")
	rec.ObjectKey = key
	return rec
}

// withAudio is a conversation whose whole recording lies under a key.
func (f *fixture) withAudio(id, key string) domain.Conversation {
	c := f.conversation(id, "")
	c.RecordingKey = key
	return c
}

// refusedKey names a key in every kind of line. Each one is refused at its line, with the reason.
func (f *fixture) refusedKey(tenant, key, reason string) {
	f.Helper()
	former := f.tenant
	defer func() { f.tenant = former }()
	f.tenant = tenant
	good := f.named(fmt.Sprintf("%s/good-%d", tenant, f.serial))
	f.refused(catalog.Batch{Recordings: lines(1, good, f.named(key))}, 2, domain.KindInvalid, `"objectKey" `+reason)
	f.refused(catalog.Batch{Conversations: lines(7, f.conversation("fine", ""), f.withAudio("c", key))}, 8, domain.KindInvalid, `"recording.objectKey" `+reason)
	_, err := f.c.ReserveUpload(f.ctx, tenant, key)
	f.wantKind(err, domain.KindInvalid)
	equal(f, "upload", domain.SafeMessage(err), "the object key "+reason)
}

// keyPrefix checks that a tenant can't be the first to name an object under another tenant's
// prefix.
func keyPrefix(f *fixture) {
	f.newTenant("evil", 3)
	f.must(f.setPrefix("acme", "acme/"))
	f.refusedKey("other", "acme/s/conf.wav", notTheirs)
	f.must(f.setPrefix("evil", "evil/"))
	f.refusedKey("evil", "acme/s/conf.wav", `must begin with "evil/", this tenant's key prefix`)
	f.refusedKey("evil", "free/x.wav", `must begin with "evil/", this tenant's key prefix`)
	f.takeRecordings(f.named("acme/s/conf.wav"))
	f.takeConversation(f.withAudio("whole", "acme/whole.webm"))
	_, err := f.c.ReserveUpload(f.ctx, "acme", "acme/upload.wav")
	f.must(err)
	for _, key := range []string{"Acme/x", "acmé/x", "acme", "acme-2/x", "x/acme/", "ac/me", "a", "zz"} {
		f.refusedKey("acme", key, `must begin with "acme/", this tenant's key prefix`)
		f.tenant = "other" // a tenant without a prefix may name keys that are under no prefix
		f.takeRecordings(f.named(key))
		f.tenant = "acme"
	}
	f.plan()
	equal(f, "in its archive", f.stored(1).Recordings[0].ObjectKey, "acme/s/conf.wav")
}

// keyPrefixComesLater sets a prefix for a tenant that has keys outside it. It keeps them.
func keyPrefixComesLater(f *fixture) {
	rec, whole := f.named("old/1.wav"), f.withAudio("whole", "old/2.webm")
	f.takeRecordings(rec)
	f.takeConversation(whole)
	f.must(f.setPrefix("acme", "acme/"))
	equal(f, "its line again", f.takeRecordings(rec).Changed, 0)
	equal(f, "its conversation again", f.takeConversation(whole).Changed, 0)
	known, err := f.c.ReserveUpload(f.ctx, "acme", rec.ObjectKey)
	f.must(err)
	equal(f, "its upload", known.Day, f.day)
	f.refusedKey("acme", "old/3.wav", `must begin with "acme/", this tenant's key prefix`)
	f.refusedKey("other", rec.ObjectKey, notTheirs)
	f.plan()
	f.publish(1)
	equal(f, "files", f.view().Files, 1)
	f.must(f.setPrefix("acme", ""))
	f.takeRecordings(f.named("old/3.wav"))
	f.tenant = "other"
	f.takeRecordings(f.named("acme/free.wav"))
}

// keyPrefixRefused tries prefixes that are refused.
func keyPrefixRefused(f *fixture) {
	for _, bad := range []string{"acme", "/", "/acme/", "a//b/", "../", "a/./", "a\n/", "a\xff/", string(make([]byte, 1024)) + "/"} {
		f.wantKind(f.setPrefix("acme", bad), domain.KindInvalid)
	}
	f.must(f.setPrefix("other", "o/team/"))
	for _, prefix := range []string{"o/", "o/team/", "o/team/sub/"} {
		err := f.setPrefix("acme", prefix)
		f.wantKind(err, domain.KindConflict)
		equal(f, "reason", domain.SafeMessage(err), fmt.Sprintf(`the key prefix %q and "o/team/" of tenant other are nested; choose a prefix outside the other one`, prefix))
	}
	_, err := f.c.CreateTenant(f.ctx, domain.Tenant{ID: "new", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5, KeyPrefix: "o/team/new/"}, audit.Origin{})
	f.wantKind(err, domain.KindConflict)
	f.must(f.setPrefix("other", "o/team/sub/")) // its own former prefix is allowed
	f.must(f.setPrefix("acme", "o/tea/"))
	f.must(f.setPrefix("other", ""))
	f.newTenant("third", 3)
	for i, tenant := range []string{"other", "other", "third", "acme"} {
		_, err := f.c.ReserveUpload(f.ctx, tenant, fmt.Sprintf("o/tea/%d", i))
		if tenant == "acme" {
			f.must(err)
			continue
		}
		f.wantKind(err, domain.KindInvalid)
		_, err = f.c.ReserveUpload(f.ctx, tenant, fmt.Sprintf("shared/%d", i))
		f.must(err)
	}
	_, err = f.c.ReserveUpload(f.ctx, "other", "shared0") // next to it
	f.must(err)
	err = f.setPrefix("acme", "shared/")
	f.wantKind(err, domain.KindConflict)
	equal(f, "reason", domain.SafeMessage(err),
		`other tenants hold object keys that begin with "shared/": 3 (other 2, third 1); choose a prefix under which no other tenant holds any`)
	t, err := f.c.Tenant(f.ctx, "acme")
	f.must(err)
	equal(f, "prefix", t.KeyPrefix, "o/tea/")
}

// keyPrefixesRace sets prefixes, also nested ones, while other tenants name keys inside. Afterwards
// either the prefix is set and no other tenant has a key inside, or the opposite.
func keyPrefixesRace(f *fixture) {
	for round := range 8 {
		prefix := fmt.Sprintf("%d/", round)
		var group sync.WaitGroup
		var set, nested, taken error
		group.Go(func() { set = f.setPrefix("acme", prefix) })
		group.Go(func() {
			_, taken = f.c.Register(f.ctx, "other", catalog.Batch{Recordings: lines(1, domain.Recording{ObjectKey: prefix + "x", ConversationID: "c", SessionID: "s", Type: "t", Timestamp: f.day.Start()})})
		})
		group.Go(func() {
			_, nested = f.c.CreateTenant(f.ctx, domain.Tenant{ID: fmt.Sprint("new-", round), RetentionDays: 3, DayLimit: 5, DownloadLimit: 5, KeyPrefix: prefix + "sub/"}, audit.Origin{})
		})
		group.Wait()
		for _, err := range []error{set, nested} {
			if err != nil {
				f.wantKind(err, domain.KindConflict)
			}
		}
		if others := nested == nil || taken == nil; (set == nil) == others {
			f.Fatalf("prefix: %v; prefix within it: %v; another's key inside: %v", set, nested, taken)
		}
	}
}
