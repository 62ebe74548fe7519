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

// RunRegister tests how data is taken in. open gives an empty, migrated catalog.
func RunRegister(t *testing.T, open func(t *testing.T) *catalog.Catalog) {
	for name, test := range map[string]func(*fixture){
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
		"sums of lines":                 sumsOfLines,
		"sums of uploads":               sumsOfUploads,
		"sums learnt":                   sumsLearnt,
		"sums corrected":                sumsCorrected,
		"mismatches audited":            mismatchesAudited,
		"another tenant's key":          registerForeignKey,
		"key prefix":                    keyPrefix,
		"key prefix comes later":        keyPrefixComesLater,
		"key prefix refused":            keyPrefixRefused,
		"key prefixes race":             keyPrefixesRace,
		"too late":                      registerTooLate,
		"far ahead":                     registerAhead,
		"external id":                   externalID,
		"external id and its recording": externalIDInOneBatch,
		"uploads":                       uploads,
		"upload before its recording":   uploadFirst,
		"upload of a missing one":       uploadOfMissing,
		"upload of a failed hour's":     uploadOfFailed,
		"upload of another tenant":      uploadForeign,
		"batches race":                  batchesRace,
		"repeats race":                  repeatsRace,
		"merges race":                   mergesRace,
		"tenants race for a key":        tenantsRace,
		"names, plans and builds race":  namesPlansBuildsRace,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{T: t, c: open(t), ctx: t.Context(), tenant: "acme"}
			f.newTenant("acme", 3)
			f.newTenant("other", 3)
			f.day = domain.DayOf(f.now()).Add(-1)
			f.pass(0) // the clock is checked
			test(f)
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

func (f *fixture) conversation(id, external string) domain.Conversation {
	return domain.Conversation{ID: id, ExternalID: external, AgentID: "a1", Start: f.day.Start(), Metadata: json.RawMessage(`{"z":1,"a":1.0}`)}
}

// take registers a batch that must be accepted.
func (f *fixture) take(batch catalog.Batch) catalog.Counts {
	f.Helper()
	n, err := f.c.Register(f.ctx, f.tenant, batch)
	f.must(err)
	return n
}

func (f *fixture) takeRecordings(recs ...domain.Recording) catalog.Counts {
	f.Helper()
	return f.take(catalog.Batch{Recordings: lines(1, recs...)})
}

func (f *fixture) takeConversation(c domain.Conversation) catalog.Counts {
	f.Helper()
	return f.take(catalog.Batch{Conversations: lines(1, c)})
}

// refused registers a batch that must be refused at a line.
func (f *fixture) refused(batch catalog.Batch, line int, kind domain.Kind, reason string) {
	f.Helper()
	_, err := f.c.Register(f.ctx, f.tenant, batch)
	var at *catalog.LineError
	if !errors.As(err, &at) {
		f.Fatalf("got %v, want a refused line", err)
	}
	equal(f, "line", at.Line, line)
	equal(f, "kind", domain.KindOf(err), kind)
	equal(f, "reason", domain.SafeMessage(err), reason)
}

// stored gives the input of a due hour's build.
func (f *fixture) stored(hour int) catalog.BuildInput {
	f.Helper()
	claim := f.claim(hour)
	in, err := f.c.BuildInput(f.ctx, claim)
	f.must(err)
	f.must(f.c.Release(f.ctx, claim))
	return in
}

// rebuilding says whether a published hour waits for a newer revision.
func (f *fixture) rebuilding(what string, hour int, want bool) {
	f.Helper()
	equal(f, what, f.hour(hour).Rebuilding, want)
}

// publishLater publishes an hour after the wait for late recordings.
func (f *fixture) publishLater(hour int) {
	f.Helper()
	f.pass(10 * time.Minute)
	f.publish(hour)
	f.rebuilding("after a build", hour, false)
}

func (f *fixture) allKinds() catalog.Batch {
	raw, turns := `[{"role":"user","text":"hi"}]`, 1
	full := f.conversation("c-s1", "conv-1")
	full.TranscriptRaw, full.TranscriptTurns, full.RecordingKey = &raw, &turns, "recordings/whole.webm"
	return catalog.Batch{
		Agents:        lines(1, domain.Agent{ID: "a1", Name: "Bot", Body: json.RawMessage(`{"agentId":"a1"}`)}, domain.Agent{ID: "a0", Body: json.RawMessage(`{}`)}),
		Conversations: lines(3, full, f.conversation("c-s0", "")),
		Messages:      lines(5, f.message("m2"), f.message("m1")),
		Recordings:    lines(7, f.recording(1, "s1"), f.recording(2, "s3")),
	}
}

func (f *fixture) message(id string) domain.Message {
	return domain.Message{ID: id, ConversationID: "c-s1", Time: f.day.Start(), Type: "UserInput", Body: json.RawMessage(fmt.Sprintf(`{"messageId":%q}`, id))}
}

func registerTwice(f *fixture) {
	batch := f.allKinds()
	n := f.take(batch)
	// One row more than lines: the conversation that only a recording names.
	equal(f, "counts", n, catalog.Counts{Agents: 2, Conversations: 2, Messages: 2, Recordings: 2, Changed: 9})
	f.plan()
	f.publish(1)
	f.publish(2)
	for range 3 {
		n = f.take(batch)
		equal(f, "rows changed by a repeat", n.Changed, 0)
	}
	f.rebuilding("after repeats", 1, false)
	f.noClaim(1)
}

func registerReplaces(f *fixture) {
	batch := f.allKinds()
	f.take(batch)
	batch.Agents[0].Value.Body = json.RawMessage(`{"agentId":"a1","v":2}`)
	batch.Conversations[0].Value.Locale = "de_de"
	batch.Messages[1].Value.Body = json.RawMessage(`{"messageId":"m1","v":2}`)
	equal(f, "changed", f.take(batch).Changed, 3)
	equal(f, "changed by the repeat", f.take(batch).Changed, 0)
	without := "x"
	batch.Conversations[0].Value.TranscriptRaw = nil
	equal(f, "a line without the transcript", f.take(batch).Changed, 0)
	batch.Conversations[0].Value.Cleared = []string{"transcript.raw"}
	equal(f, "transcript taken away", f.take(batch).Changed, 1)
	batch.Conversations[0].Value.TranscriptRaw, batch.Conversations[0].Value.Cleared = &without, nil
	equal(f, "transcript again", f.take(batch).Changed, 1)
}

func registerDuplicates(f *fixture) {
	one := f.conversation("c1", "first")
	two := f.conversation("c1", "second")
	rec := f.recording(1, "s1")
	rec.ConversationID = "c1"
	unsized := rec
	unsized.Size = nil
	f.take(catalog.Batch{
		Agents:        lines(1, domain.Agent{ID: "a", Body: json.RawMessage(`{"v":1}`)}, domain.Agent{ID: "a", Body: json.RawMessage(`{"v":2}`)}),
		Conversations: lines(3, one, two),
		Messages:      lines(5, f.message("m"), f.message("m")),
		Recordings:    lines(7, unsized, rec, unsized),
	})
	equal(f, "the later line counted", f.takeConversation(two).Changed, 0)
	f.plan()
	in := f.stored(1)
	equal(f, "raised", in.Wanted, 1)
	equal(f, "recordings", len(in.Recordings), 1)
	equal(f, "size", *in.Recordings[0].Size, 1000)
	equal(f, "external id", in.Recordings[0].ExternalConversationID, "second")
	late := rec
	late.Timestamp = rec.Timestamp.Add(time.Second)
	late.ObjectKey, rec.ObjectKey = "new.opus", "new.opus"
	f.refused(catalog.Batch{Recordings: lines(4, rec, late)}, 5, domain.KindConflict,
		`"timestamp" differs from the one that this recording was registered with`+orCorrect)
}

func registerAllOrNothing(f *fixture) {
	rec := f.recording(1, "s1")
	f.takeRecordings(rec)
	wrong := rec
	wrong.Timestamp = rec.Timestamp.Add(time.Hour)
	batch := f.allKinds()
	batch.Recordings = lines(7, f.recording(5, "s1"), wrong)
	f.refused(batch, 8, domain.KindConflict, `"timestamp" differs from the one that this recording was registered with`+orCorrect)
	p := f.plan()
	equal(f, "hours with recordings", p.Due, 1)
	batch.Recordings = nil
	// The empty row of the first recording's conversation is filled.
	equal(f, "nothing of the refused batch stood", f.take(batch).Changed, 6)
}

func registerUnknownTenant(f *fixture) {
	f.tenant = "nobody"
	for _, batch := range []catalog.Batch{{}, f.allKinds(), {Messages: lines(1, f.message("m"))}} {
		_, err := f.c.Register(f.ctx, f.tenant, batch)
		f.wantKind(err, domain.KindNotFound)
	}
	_, err := f.c.ReserveUpload(f.ctx, f.tenant, "k")
	f.wantKind(err, domain.KindNotFound)
}

func registerTooMany(f *fixture) {
	batch := catalog.Batch{Messages: make([]catalog.Line[domain.Message], catalog.MaxBatch+1)}
	_, err := f.c.Register(f.ctx, f.tenant, batch)
	f.wantKind(err, domain.KindTooLarge)
}

func registerTooLate(f *fixture) {
	f.day = f.day.Add(-10)
	n := f.takeRecordings(f.recording(1, "s1"), f.recording(1, "s1"), f.recording(2, "s1"))
	equal(f, "too late", n.TooLate, 3)
	equal(f, "rows are kept", n.Changed, 4)
	n = f.takeConversation(f.conversation("c-s1", "named"))
	equal(f, "a new name is not too late", n.TooLate, 0)
	equal(f, "the day counts recordings", f.view().TooLate, 3)
}

func registerAhead(f *fixture) {
	now, err := f.c.Now(f.ctx)
	f.must(err)
	at := func(d time.Duration) domain.Recording {
		r := f.recording(1, "s1")
		r.Timestamp = now.Add(d)
		return r
	}
	n := f.takeRecordings(at(-time.Hour), at(23*time.Hour), at(25*time.Hour), at(365*24*time.Hour))
	equal(f, "far ahead", n.Ahead, 2)
	equal(f, "too late", n.TooLate, 0)
}
