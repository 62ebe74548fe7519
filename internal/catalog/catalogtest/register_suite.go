package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// RunRegister proves how data is taken in, on the catalogs that open gives, each empty and migrated.
func RunRegister(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	for name, test := range map[string]func(*bench){
		"all kinds, twice":              registerTwice,
		"lines replace":                 registerReplaces,
		"one id twice in a batch":       registerDuplicates,
		"all or nothing":                registerAllOrNothing,
		"unknown tenant":                registerUnknownTenant,
		"batch too large":               registerTooMany,
		"contradictions":                registerContradictions,
		"known facts fill in":           registerFillsIn,
		"one object, two lines":         registerMoves,
		"bytes are corrected":           correctBytes,
		"uploaded bytes are corrected":  correctUploaded,
		"a place is corrected":          correctPlace,
		"lines after corrections":       correctLines,
		"corrections refused":           correctRefused,
		"another tenant's key":          registerForeignKey,
		"key prefix":                    keyPrefix,
		"key prefix comes later":        keyPrefixComesLater,
		"key prefix refused":            keyPrefixRefused,
		"key prefixes meet":             keyPrefixesMeet,
		"too late":                      registerTooLate,
		"far ahead":                     registerAhead,
		"external id":                   externalID,
		"external id and its recording": externalIDInOneBatch,
		"uploads":                       uploads,
		"upload before its recording":   uploadFirst,
		"upload of a missing one":       uploadOfMissing,
		"upload of a failed hour's":     uploadOfFailed,
		"upload of another tenant":      uploadForeign,
		"batches meet":                  batchesMeet,
		"repeats meet":                  repeatsMeet,
		"merges meet":                   mergesMeet,
		"tenants meet over a key":       tenantsMeet,
		"names, plans and builds meet":  namesPlansBuildsMeet,
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{T: t, c: open(t), ctx: t.Context(), tenant: "acme"}
			b.newTenant("acme", 3)
			b.newTenant("other", 3)
			b.day = domain.DayOf(b.now()).Add(-1)
			b.pass(0) // somebody has looked at the clock
			test(b)
		})
	}
}

func lines[T any](from int, values ...T) []catalog.Line[T] {
	out := make([]catalog.Line[T], 0, len(values))
	for i, v := range values {
		out = append(out, catalog.Line[T]{Number: from + i, Value: v})
	}
	return out
}

func (b *bench) conversation(id, external string) domain.Conversation {
	return domain.Conversation{ID: id, ExternalID: external, AgentID: "a1", Start: b.day.Start(), Metadata: json.RawMessage(`{"z":1,"a":1.0}`)}
}

// take registers a batch that must be taken.
func (b *bench) take(batch catalog.Batch) catalog.Counts {
	b.Helper()
	n, err := b.c.Register(b.ctx, b.tenant, batch)
	b.must(err)
	return n
}

func (b *bench) takeRecordings(recs ...domain.Recording) catalog.Counts {
	b.Helper()
	return b.take(catalog.Batch{Recordings: lines(1, recs...)})
}

func (b *bench) takeConversation(c domain.Conversation) catalog.Counts {
	b.Helper()
	return b.take(catalog.Batch{Conversations: lines(1, c)})
}

// refused registers a batch that must be refused at a line.
func (b *bench) refused(batch catalog.Batch, line int, kind domain.Kind, reason string) {
	b.Helper()
	_, err := b.c.Register(b.ctx, b.tenant, batch)
	var at *catalog.LineError
	if !errors.As(err, &at) {
		b.Fatalf("got %v, want a refused line", err)
	}
	equal(b, "line", at.Line, line)
	equal(b, "kind", domain.KindOf(err), kind)
	equal(b, "reason", domain.SafeMessage(err), reason)
}

// stored gives what a build of a due hour would archive, and the bumps it counts.
func (b *bench) stored(hour int) catalog.BuildInput {
	b.Helper()
	claim := b.claim(hour)
	in, err := b.c.BuildInput(b.ctx, claim)
	b.must(err)
	b.must(b.c.Release(b.ctx, claim))
	return in
}

// rebuilding says whether a published hour waits for a newer revision.
func (b *bench) rebuilding(what string, hour int, want bool) {
	b.Helper()
	equal(b, what, b.hour(hour).Rebuilding, want)
}

// settle publishes an hour that has waited long enough.
func (b *bench) settle(hour int) {
	b.Helper()
	b.pass(10 * time.Minute)
	b.publish(hour)
	b.rebuilding("after a build", hour, false)
}

func (b *bench) allKinds() catalog.Batch {
	raw, turns := `[{"role":"user","text":"hi"}]`, 1
	full := b.conversation("c-s1", "conv-1")
	full.TranscriptRaw, full.TranscriptTurns, full.RecordingKey = &raw, &turns, "recordings/whole.webm"
	return catalog.Batch{
		Agents:        lines(1, domain.Agent{ID: "a1", Name: "Bot", Body: json.RawMessage(`{"agentId":"a1"}`)}, domain.Agent{ID: "a0", Body: json.RawMessage(`{}`)}),
		Conversations: lines(3, full, b.conversation("c-s0", "")),
		Messages:      lines(5, b.message("m2"), b.message("m1")),
		Recordings:    lines(7, b.recording(1, "s1"), b.recording(2, "s3")),
	}
}

func (b *bench) message(id string) domain.Message {
	return domain.Message{ID: id, ConversationID: "c-s1", Time: b.day.Start(), Type: "UserInput", Body: json.RawMessage(fmt.Sprintf(`{"messageId":%q}`, id))}
}

func registerTwice(b *bench) {
	batch := b.allKinds()
	n := b.take(batch)
	// One row more than lines: the conversation that only a recording names.
	equal(b, "counts", n, catalog.Counts{Agents: 2, Conversations: 2, Messages: 2, Recordings: 2, Changed: 9})
	b.plan()
	b.publish(1)
	b.publish(2)
	for range 3 {
		n = b.take(batch)
		equal(b, "rows changed by a repeat", n.Changed, 0)
	}
	b.rebuilding("after repeats", 1, false)
	b.noClaim(1)
}

func registerReplaces(b *bench) {
	batch := b.allKinds()
	b.take(batch)
	batch.Agents[0].Value.Body = json.RawMessage(`{"agentId":"a1","v":2}`)
	batch.Conversations[0].Value.Locale = "de_de"
	batch.Messages[1].Value.Body = json.RawMessage(`{"messageId":"m1","v":2}`)
	equal(b, "changed", b.take(batch).Changed, 3)
	equal(b, "changed by the repeat", b.take(batch).Changed, 0)
	without := "x"
	batch.Conversations[0].Value.TranscriptRaw = nil
	equal(b, "a line without the transcript", b.take(batch).Changed, 0)
	batch.Conversations[0].Value.Cleared = []string{"transcript.raw"}
	equal(b, "transcript taken away", b.take(batch).Changed, 1)
	batch.Conversations[0].Value.TranscriptRaw, batch.Conversations[0].Value.Cleared = &without, nil
	equal(b, "transcript again", b.take(batch).Changed, 1)
}

func registerDuplicates(b *bench) {
	one := b.conversation("c1", "first")
	two := b.conversation("c1", "second")
	rec := b.recording(1, "s1")
	rec.ConversationID = "c1"
	unsized := rec
	unsized.Size = nil
	b.take(catalog.Batch{
		Agents:        lines(1, domain.Agent{ID: "a", Body: json.RawMessage(`{"v":1}`)}, domain.Agent{ID: "a", Body: json.RawMessage(`{"v":2}`)}),
		Conversations: lines(3, one, two),
		Messages:      lines(5, b.message("m"), b.message("m")),
		Recordings:    lines(7, unsized, rec, unsized),
	})
	equal(b, "the later line counted", b.takeConversation(two).Changed, 0)
	b.plan()
	in := b.stored(1)
	equal(b, "bumps", in.Wanted, 1)
	equal(b, "recordings", len(in.Recordings), 1)
	equal(b, "size", *in.Recordings[0].Size, 1000)
	equal(b, "external id", in.Recordings[0].ExternalConversationID, "second")
	late := rec
	late.Timestamp = rec.Timestamp.Add(time.Second)
	late.ObjectKey, rec.ObjectKey = "new.opus", "new.opus"
	b.refused(catalog.Batch{Recordings: lines(4, rec, late)}, 5, domain.KindConflict,
		`"timestamp" differs from the one that this recording was registered with`+orCorrect)
}

func registerAllOrNothing(b *bench) {
	rec := b.recording(1, "s1")
	b.takeRecordings(rec)
	wrong := rec
	wrong.Timestamp = rec.Timestamp.Add(time.Hour)
	batch := b.allKinds()
	batch.Recordings = lines(7, b.recording(5, "s1"), wrong)
	b.refused(batch, 8, domain.KindConflict, `"timestamp" differs from the one that this recording was registered with`+orCorrect)
	p := b.plan()
	equal(b, "hours with recordings", p.Due, 1)
	batch.Recordings = nil
	// The stub of the first recording's conversation becomes full.
	equal(b, "nothing of the refused batch stood", b.take(batch).Changed, 6)
}

func registerUnknownTenant(b *bench) {
	b.tenant = "nobody"
	for _, batch := range []catalog.Batch{{}, b.allKinds(), {Messages: lines(1, b.message("m"))}} {
		_, err := b.c.Register(b.ctx, b.tenant, batch)
		b.wantKind(err, domain.KindNotFound)
	}
	_, err := b.c.ReserveUpload(b.ctx, b.tenant, "k")
	b.wantKind(err, domain.KindNotFound)
}

func registerTooMany(b *bench) {
	batch := catalog.Batch{Messages: make([]catalog.Line[domain.Message], catalog.MaxBatch+1)}
	_, err := b.c.Register(b.ctx, b.tenant, batch)
	b.wantKind(err, domain.KindTooLarge)
}

func registerTooLate(b *bench) {
	b.day = b.day.Add(-10)
	n := b.takeRecordings(b.recording(1, "s1"), b.recording(1, "s1"), b.recording(2, "s1"))
	equal(b, "too late", n.TooLate, 3)
	equal(b, "rows are kept", n.Changed, 4)
	n = b.takeConversation(b.conversation("c-s1", "named"))
	equal(b, "a new name is not too late", n.TooLate, 0)
	equal(b, "the day counts recordings", b.view().TooLate, 3)
}

func registerAhead(b *bench) {
	now, err := b.c.Now(b.ctx)
	b.must(err)
	at := func(d time.Duration) domain.Recording {
		r := b.recording(1, "s1")
		r.Timestamp = now.Add(d)
		return r
	}
	n := b.takeRecordings(at(-time.Hour), at(23*time.Hour), at(25*time.Hour), at(365*24*time.Hour))
	equal(b, "far ahead", n.Ahead, 2)
	equal(b, "too late", n.TooLate, 0)
}
