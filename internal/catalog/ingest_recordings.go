package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

// objectRow is what the catalog knows of an object key whose row is locked.
type objectRow struct {
	tenant    string
	size      *int64 // size of the uploaded bytes
	crc32     *uint32
	sha256    *domain.SHA256
	etag      string            // of the object with sha256
	recording *domain.Recording // nil if none is registered
	original  *domain.Recording // the values of its line before an operator's correction; nil if there was none
}

// recordings claims every object key that the lines name, compares the recordings with the existing
// ones, and writes those that are new or differ. The lock on an object's row also locks its
// recording, which is in another table, by day.
func (r *registration) recordings(ctx context.Context, lines []Line[domain.Recording], conversations []Line[domain.Conversation]) error {
	named := namedKeys(lines, conversations)
	if len(named) == 0 {
		return nil
	}
	if err := r.claimKeys(ctx, named); err != nil {
		return err
	}
	known, err := r.objectRows(ctx)
	if err != nil {
		return err
	}
	if err := r.refuseOtherTenantsKeys(named, known); err != nil {
		return err
	}
	changed, formers, err := r.merge(lines, known)
	if err != nil || len(changed) == 0 {
		return err
	}
	if err := r.saveFormer(ctx, KindRecording, formers); err != nil {
		return err
	}
	return r.writeRecordings(ctx, changed)
}

// namedKey is an object key that a line names.
type namedKey struct {
	line  int
	field string
	day   any // the recording's day; nil where a conversation names the key
}

// namedKeys gives every key once, with the first line that names it. Lines of recordings go before
// lines of conversations, because they have the day.
func namedKeys(lines []Line[domain.Recording], conversations []Line[domain.Conversation]) map[string]namedKey {
	named := make(map[string]namedKey, len(lines))
	for i := range lines {
		l := &lines[i]
		if _, ok := named[l.Value.ObjectKey]; !ok {
			named[l.Value.ObjectKey] = namedKey{l.Number, "objectKey", string(domain.DayOf(l.Value.Timestamp))}
		}
	}
	for i := range conversations {
		l := &conversations[i]
		if _, ok := named[l.Value.RecordingKey]; !ok && l.Value.RecordingKey != "" {
			named[l.Value.RecordingKey] = namedKey{l.Number, "recording.objectKey", nil}
		}
	}
	return named
}

// claimKeys inserts the rows of unknown keys and locks the others, in key order. Before that it
// refuses keys that the tenant may not name because of key prefixes. After that it refuses keys
// whose bytes are to be deleted.
func (r *registration) claimKeys(ctx context.Context, named map[string]namedKey) error {
	keys := slices.Sorted(maps.Keys(named))
	rows := make([][]any, 0, len(named))
	for _, key := range keys {
		rows = append(rows, []any{key, named[key].day})
	}
	if err := r.stages.fill(ctx, objectStage(), rows); err != nil {
		return err
	}
	if err := r.checkPrefixes(ctx, keys, named); err != nil {
		return err
	}
	if _, err := r.tx.ExecContext(ctx, `INSERT INTO objects (key, tenant, day, named_us)
		SELECT key, CAST($1 AS TEXT), day, CAST($2 AS BIGINT) FROM stage_objects WHERE TRUE ORDER BY key
		ON CONFLICT (key) DO UPDATE SET day = excluded.day
		WHERE objects.tenant = excluded.tenant AND objects.day IS NULL AND excluded.day IS NOT NULL`, r.tenant, r.at); err != nil {
		return err
	}
	return r.refuseQueued(ctx, named)
}

// objectRows reads what is known of the claimed keys. Keys of which nothing is known are left out.
func (r *registration) objectRows(ctx context.Context) (known map[string]objectRow, err error) {
	known = map[string]objectRow{}
	err = db.Each(ctx, r.tx, func(rows *sql.Rows) error {
		key, s, err := scanObjectRow(rows)
		known[key] = s
		return err
	}, `SELECT o.key, coalesce(l.tenant, o.tenant), o.size, o.crc32, o.sha256, o.etag,
			r.conversation_id, r.session_id, r.message_id, r.type, r.ts_us, r.size, r.crc32, r.sha256, r.content_type, r.sha256_origin, r.etag,
			f.conversation_id, f.session_id, f.message_id, f.type, f.ts_us, f.size, f.crc32, f.sha256
		FROM stage_objects s JOIN objects o ON o.key = s.key
		LEFT JOIN left_objects l ON l.key = s.key AND l.tenant <> $1
		LEFT JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key
		LEFT JOIN corrected_recordings f ON f.object_key = r.object_key
		WHERE o.tenant <> $1 OR l.key IS NOT NULL OR o.size IS NOT NULL OR r.object_key IS NOT NULL`, r.tenant)
	return known, err
}

func scanObjectRow(rows *sql.Rows) (key string, s objectRow, err error) {
	var now, first domain.Recording
	err = rows.Scan(slices.Concat([]any{&key, &s.tenant, &s.size, &s.crc32, &s.sha256, db.OrZero(&s.etag)}, recordingFields(&now),
		[]any{db.OrZero(&now.ContentType), db.OrZero(&now.SHA256Origin), db.OrZero(&now.ETag)}, recordingFields(&first))...)
	if now.ObjectKey = key; !now.Timestamp.IsZero() {
		s.recording = &now
	}
	if first.ObjectKey = key; !first.Timestamp.IsZero() {
		s.original = &first
	}
	return key, s, err
}

// recordingFields gives the destinations of a recording's columns, which are null if there is none.
func recordingFields(r *domain.Recording) []any {
	return []any{db.OrZero(&r.ConversationID), db.OrZero(&r.SessionID), db.OrZero(&r.MessageID), db.OrZero(&r.Type), db.Time(&r.Timestamp), &r.Size, &r.CRC32, &r.SHA256}
}

// refuseOtherTenantsKeys refuses keys that another tenant named or uploaded first. It does not say
// which tenant.
func (r *registration) refuseOtherTenantsKeys(named map[string]namedKey, known map[string]objectRow) error {
	first, found := namedKey{}, false
	for key, s := range known {
		if n := named[key]; s.tenant != r.tenant && (!found || n.line < first.line) {
			first, found = n, true
		}
	}
	if !found {
		return nil
	}
	return refuse(first.line, domain.KindInvalid, "%s", otherTenantReason(fmt.Sprintf("%q", first.field)))
}

// merge gives the recordings that are new or changed, by key, and the replaced values, and adds
// their hours to fresh and touched. A line can replace nothing but a content type.
func (r *registration) merge(lines []Line[domain.Recording], known map[string]objectRow) (out []domain.Recording, formers []former, err error) {
	changed := make(map[string]domain.Recording, len(lines))
	fresh := make(map[string]bool, len(lines))
	for i := range lines {
		l := &lines[i]
		key := l.Value.ObjectKey
		s := known[key]
		before := s.recording
		if earlier, ok := changed[key]; ok {
			before = &earlier
		}
		next, rebuild, err := mergeRecording(s, before, l)
		if err != nil && s.original != nil && repeats(l.Value, *s.original) {
			// An operator corrected what this line says. Only its content type counts.
			typed := Line[domain.Recording]{Number: l.Number, Value: *before}
			typed.Value.ContentType = l.Value.ContentType
			next, rebuild, err = mergeRecording(s, before, &typed)
		}
		if err != nil {
			return nil, nil, err
		}
		switch {
		case before == nil:
			fresh[key] = true
		case sameRecording(*before, next):
			continue
		case before.ContentType != "" && before.ContentType != next.ContentType:
			formers = append(formers, former{id: key, field: "contentType", value: string(rawjson.AppendString(nil, before.ContentType))})
		}
		changed[key] = next
		if rebuild && !fresh[key] {
			r.touched = append(r.touched, domain.HourOf(r.tenant, next.Timestamp))
		}
	}
	out = make([]domain.Recording, 0, len(changed))
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		rec := changed[key]
		out = append(out, rec)
		if fresh[key] {
			r.fresh = append(r.fresh, domain.HourOf(r.tenant, rec.Timestamp))
		}
	}
	return out, formers, nil
}

// mergeRecording merges a line into the existing recording. A line that contradicts it, or the
// uploaded bytes, is refused. rebuild says whether an archive of it would change.
func mergeRecording(s objectRow, before *domain.Recording, l *Line[domain.Recording]) (next domain.Recording, rebuild bool, err error) {
	next = l.Value
	old := domain.Recording{Size: s.size, CRC32: s.crc32, SHA256: s.sha256, SHA256Origin: domain.SumUpload, ETag: s.etag}
	if before != nil {
		upload := old
		old = *before
		if field := movedField(old, next); field != "" {
			return next, false, contradicts(l.Number, `%q differs from the one that this recording was registered with`, field)
		}
		old.Size = cmp.Or(old.Size, s.size)
		old.CRC32 = cmp.Or(old.CRC32, s.crc32)
		if old.SHA256 == nil {
			old.SHA256, old.SHA256Origin, old.ETag = upload.SHA256, upload.SHA256Origin, upload.ETag
		}
	}
	if domain.Differ(old.Size, next.Size) {
		return next, false, contradicts(l.Number, `"sizeBytes" is %d, and this recording is known to have %d bytes`, *next.Size, *old.Size)
	}
	if domain.Differ(old.CRC32, next.CRC32) {
		return next, false, contradicts(l.Number, `"crc32" is %08x, and this recording is known to have %08x`, *next.CRC32, *old.CRC32)
	}
	if domain.Differ(old.SHA256, next.SHA256) {
		return next, false, contradicts(l.Number, `"sha256" is %s, and this recording is known to have %s`, *next.SHA256, *old.SHA256)
	}
	next.Size = cmp.Or(next.Size, old.Size)
	next.CRC32 = cmp.Or(next.CRC32, old.CRC32)
	next.ContentType = cmp.Or(next.ContentType, old.ContentType)
	if old.SHA256 != nil {
		next.SHA256, next.SHA256Origin, next.ETag = old.SHA256, old.SHA256Origin, old.ETag
	} else if next.SHA256 != nil {
		next.SHA256Origin = domain.SumLine
	}
	archived := next
	archived.ContentType = old.ContentType // archives do not have it
	return next, before == nil || !sameRecording(*before, archived), nil
}

// contradicts refuses a line that contradicts what is known, and says what to do if the line is
// right.
func contradicts(line int, format string, args ...any) error {
	return refuse(line, domain.KindConflict, format+"; if this line is right, an operator corrects the recording (callvault recording correct)", args...)
}

// movedField names the first field that gives two recordings of one object different places; "" for
// none.
func movedField(a, b domain.Recording) string {
	switch {
	case a.ConversationID != b.ConversationID:
		return "conversationId"
	case a.SessionID != b.SessionID:
		return "sessionId"
	case a.MessageID != b.MessageID:
		return "messageId"
	case a.Type != b.Type:
		return "type"
	case !a.Timestamp.Equal(b.Timestamp):
		return "timestamp"
	}
	return ""
}

// repeats says whether a line says nothing that the first line did not say.
func repeats(line, first domain.Recording) bool {
	return movedField(line, first) == "" && (line.Size == nil || same(line.Size, first.Size)) &&
		(line.CRC32 == nil || same(line.CRC32, first.CRC32)) && (line.SHA256 == nil || same(line.SHA256, first.SHA256))
}

func sameRecording(a, b domain.Recording) bool {
	return movedField(a, b) == "" && same(a.Size, b.Size) && same(a.CRC32, b.CRC32) && same(a.SHA256, b.SHA256) && a.ContentType == b.ContentType
}

// same says whether two values are equal, or both unknown.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// writeRecordings writes recordings. A size that a build stored meanwhile stays. A sum that it
// learnt meanwhile was not compared with the lines yet, so they are registered once more.
func (r *registration) writeRecordings(ctx context.Context, recordings []domain.Recording) error {
	rows := make([][]any, 0, len(recordings))
	for i := range recordings {
		rec := &recordings[i]
		k := domain.HourOf(r.tenant, rec.Timestamp)
		rows = append(rows, []any{string(k.Day), rec.ObjectKey, int64(k.Hour), rec.SessionID, rec.ConversationID, rec.MessageID,
			rec.Type, db.Micros(rec.Timestamp), rec.Size, rec.CRC32, db.OrNull(rec.ContentType), rec.SHA256, db.OrNull(rec.SHA256Origin), db.OrNull(rec.ETag)})
	}
	if err := r.stages.fill(ctx, recordingStage(), rows); err != nil {
		return err
	}
	columns := recordingStage().list()
	before := r.n.Changed
	err := r.exec(ctx, `INSERT INTO recordings (tenant, `+columns+`, registered_us)
		SELECT CAST($1 AS TEXT), `+columns+`, CAST($2 AS BIGINT) FROM stage_recordings WHERE TRUE ORDER BY day, object_key
		ON CONFLICT (tenant, day, object_key) DO UPDATE SET
			size = coalesce(excluded.size, recordings.size), crc32 = coalesce(excluded.crc32, recordings.crc32),
			content_type = excluded.content_type, sha256 = coalesce(recordings.sha256, excluded.sha256),
			sha256_origin = coalesce(recordings.sha256_origin, excluded.sha256_origin), etag = coalesce(recordings.etag, excluded.etag)
		WHERE recordings.sha256 IS NULL OR excluded.sha256 IS NULL OR recordings.sha256 = excluded.sha256`, r.tenant, r.at)
	if err == nil && r.n.Changed-before < len(recordings) {
		err = db.ErrRetry
	}
	return err
}

// checkPrefixes refuses the first line that names a key which the tenant may not name. keys are the
// staged keys, sorted. A tenant may name keys that it owns already.
func (r *registration) checkPrefixes(ctx context.Context, keys []string, named map[string]namedKey) error {
	list, own, err := r.c.forbiddenKeys(ctx, r.tx, r.tenant, keys)
	if err != nil || len(list) == 0 {
		return err
	}
	if list, err = exceptOwned(ctx, r.tx, list, "stage_objects", r.tenant); err != nil || len(list) == 0 {
		return err
	}
	first := slices.MinFunc(list, func(a, b string) int { return named[a].line - named[b].line })
	return refuse(named[first].line, domain.KindInvalid, "%s", outsideReason(fmt.Sprintf("%q", named[first].field), own))
}
