package catalogtest

import (
	"fmt"
	"sync"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const notTheirs = "names an object that is not this tenant's"

func (b *bench) setPrefix(tenant, prefix string) error {
	b.Helper()
	_, err := b.c.SetTenant(b.ctx, tenant, func(t *domain.Tenant) { t.KeyPrefix = prefix })
	return err
}

// named is a recording under a key.
func (b *bench) named(key string) domain.Recording {
	rec := b.recording(1, "s1")
	rec.ObjectKey = key
	return rec
}

// withAudio is a conversation whose whole recording lies under a key.
func (b *bench) withAudio(id, key string) domain.Conversation {
	c := b.conversation(id, "")
	c.RecordingKey = key
	return c
}

// refusedKey names a key in every way that there is; each is refused at its own line, for the reason.
func (b *bench) refusedKey(tenant, key, reason string) {
	b.Helper()
	former := b.tenant
	defer func() { b.tenant = former }()
	b.tenant = tenant
	good := b.named(fmt.Sprintf("%s/good-%d", tenant, b.serial))
	b.refused(catalog.Batch{Recordings: lines(1, good, b.named(key))}, 2, domain.KindInvalid, `"objectKey" `+reason)
	b.refused(catalog.Batch{Conversations: lines(7, b.conversation("fine", ""), b.withAudio("c", key))}, 8, domain.KindInvalid, `"recording.objectKey" `+reason)
	_, err := b.c.ReserveUpload(b.ctx, tenant, key)
	b.wantKind(err, domain.KindInvalid)
	equal(b, "upload", domain.SafeMessage(err), "the object key "+reason)
}

// keyPrefix lets a tenant name first what was put into the bucket for another.
func keyPrefix(b *bench) {
	b.newTenant("evil", 3)
	b.must(b.setPrefix("acme", "acme/"))
	b.refusedKey("other", "acme/s/conf.wav", notTheirs)
	b.must(b.setPrefix("evil", "evil/"))
	b.refusedKey("evil", "acme/s/conf.wav", `must begin with "evil/", this tenant's key prefix`)
	b.refusedKey("evil", "free/x.wav", `must begin with "evil/", this tenant's key prefix`)
	b.takeRecordings(b.named("acme/s/conf.wav"))
	b.takeConversation(b.withAudio("whole", "acme/whole.webm"))
	_, err := b.c.ReserveUpload(b.ctx, "acme", "acme/upload.wav")
	b.must(err)
	for _, key := range []string{"Acme/x", "acmé/x", "acme", "acme-2/x", "x/acme/", "ac/me", "a", "zz"} {
		b.refusedKey("acme", key, `must begin with "acme/", this tenant's key prefix`)
		b.tenant = "other" // who has no prefix may name what is nobody's
		b.takeRecordings(b.named(key))
		b.tenant = "acme"
	}
	b.plan()
	equal(b, "in its archive", b.stored(1).Recordings[0].ObjectKey, "acme/s/conf.wav")
}

// keyPrefixComesLater sets a prefix where its tenant holds keys outside: those stay what they were.
func keyPrefixComesLater(b *bench) {
	rec, whole := b.named("old/1.wav"), b.withAudio("whole", "old/2.webm")
	b.takeRecordings(rec)
	b.takeConversation(whole)
	b.must(b.setPrefix("acme", "acme/"))
	equal(b, "its line again", b.takeRecordings(rec).Changed, 0)
	equal(b, "its conversation again", b.takeConversation(whole).Changed, 0)
	known, err := b.c.ReserveUpload(b.ctx, "acme", rec.ObjectKey)
	b.must(err)
	equal(b, "its upload", known.Day, b.day)
	b.refusedKey("acme", "old/3.wav", `must begin with "acme/", this tenant's key prefix`)
	b.refusedKey("other", rec.ObjectKey, notTheirs)
	b.plan()
	b.publish(1)
	equal(b, "files", b.view().Files, 1)
	b.must(b.setPrefix("acme", ""))
	b.takeRecordings(b.named("old/3.wav"))
	b.tenant = "other"
	b.takeRecordings(b.named("acme/free.wav"))
}

// keyPrefixRefused tries prefixes that can't be a tenant's, and changes nothing.
func keyPrefixRefused(b *bench) {
	for _, bad := range []string{"acme", "/", "/acme/", "a//b/", "../", "a/./", "a\n/", "a\xff/", string(make([]byte, 1024)) + "/"} {
		b.wantKind(b.setPrefix("acme", bad), domain.KindInvalid)
	}
	b.must(b.setPrefix("other", "o/team/"))
	for _, prefix := range []string{"o/", "o/team/", "o/team/sub/"} {
		err := b.setPrefix("acme", prefix)
		b.wantKind(err, domain.KindConflict)
		equal(b, "reason", domain.SafeMessage(err), fmt.Sprintf(`the key prefix %q and "o/team/" of tenant other are nested; choose a prefix outside the other one`, prefix))
	}
	_, err := b.c.CreateTenant(b.ctx, domain.Tenant{ID: "new", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5, KeyPrefix: "o/team/new/"})
	b.wantKind(err, domain.KindConflict)
	b.must(b.setPrefix("other", "o/team/sub/")) // its own former one is no other's
	b.must(b.setPrefix("acme", "o/tea/"))
	b.must(b.setPrefix("other", ""))
	b.newTenant("third", 3)
	for i, tenant := range []string{"other", "other", "third", "acme"} {
		_, err := b.c.ReserveUpload(b.ctx, tenant, fmt.Sprintf("o/tea/%d", i))
		if tenant == "acme" {
			b.must(err)
			continue
		}
		b.wantKind(err, domain.KindInvalid)
		_, err = b.c.ReserveUpload(b.ctx, tenant, fmt.Sprintf("shared/%d", i))
		b.must(err)
	}
	_, err = b.c.ReserveUpload(b.ctx, "other", "shared0") // beside it
	b.must(err)
	err = b.setPrefix("acme", "shared/")
	b.wantKind(err, domain.KindConflict)
	equal(b, "reason", domain.SafeMessage(err),
		`other tenants hold object keys that begin with "shared/": 3 (other 2, third 1); choose a prefix under which no other tenant holds any`)
	t, err := b.c.Tenant(b.ctx, "acme")
	b.must(err)
	equal(b, "prefix", t.KeyPrefix, "o/tea/")
}

// keyPrefixesMeet sets prefixes while others name keys inside, and nested ones at once: either the
// prefix stands and no other tenant has a key inside, or the other way round.
func keyPrefixesMeet(b *bench) {
	for round := range 8 {
		prefix := fmt.Sprintf("%d/", round)
		var group sync.WaitGroup
		var set, nested, taken error
		group.Go(func() { set = b.setPrefix("acme", prefix) })
		group.Go(func() {
			_, taken = b.c.Register(b.ctx, "other", catalog.Batch{Recordings: lines(1, domain.Recording{ObjectKey: prefix + "x", ConversationID: "c", SessionID: "s", Type: "t", Timestamp: b.day.Start()})})
		})
		group.Go(func() {
			_, nested = b.c.CreateTenant(b.ctx, domain.Tenant{ID: fmt.Sprint("new-", round), RetentionDays: 3, DayLimit: 5, DownloadLimit: 5, KeyPrefix: prefix + "sub/"})
		})
		group.Wait()
		for _, err := range []error{set, nested} {
			if err != nil {
				b.wantKind(err, domain.KindConflict)
			}
		}
		if others := nested == nil || taken == nil; (set == nil) == others {
			b.Fatalf("prefix: %v; prefix within it: %v; another's key inside: %v", set, nested, taken)
		}
	}
}
