package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Reasons for which a recording is in no archive, as metadata.json names them.
const (
	ReasonNotFound   = "not_found"
	ReasonSize       = "size_changed"
	ReasonChecksum   = "checksum_mismatch"
	ReasonUnreadable = string(domain.KindUnreadable) // the object exists, but its bytes can't be read
)

// MissingFile is a recording that is not in an archive because its bytes are gone, changed or
// unreadable.
type MissingFile struct {
	ObjectKey string `json:"objectKey"`
	MessageID int64  `json:"messageId"`
	Reason    string `json:"reason"`

	SHA256 *domain.SHA256 `json:"sha256,omitempty"` // of the bytes that were read instead, if all were
}

// MissingGroup counts recordings that are missing for one reason, and says what an operator can do.
type MissingGroup struct {
	Reason string
	Files  int
	Advice string
}

// GroupMissing counts missing recordings by reason.
func GroupMissing(missing []MissingFile) []MissingGroup {
	counts := map[string]int{}
	for _, m := range missing {
		counts[m.Reason]++
	}
	var groups []MissingGroup
	for _, g := range []MissingGroup{
		{ReasonNotFound, 0, "upload the audio (PUT /api/ingest/v1/audio/KEY, or callvault import --audio), and the hour is built; or put it into the bucket and rebuild the hour"},
		{ReasonSize, 0, "the object has another size than its recording: correct the size (callvault recording correct --size), or put the right bytes into the bucket and rebuild the hour"},
		{ReasonChecksum, 0, "the object has another CRC-32 or SHA-256 than its recording, or it changed while it was read: put the right bytes into the bucket and rebuild the hour; only if it has the right ones, correct the checksums (callvault recording correct --crc32, --sha256)"},
		{ReasonUnreadable, 0, "the object is in cold storage, or access to it is denied: bring it back, or let callvault's user read it, and rebuild the hour; it is also looked for again within 6 hours"},
	} {
		if g.Files = counts[g.Reason]; g.Files > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// Advice is the text of all groups of missing recordings.
func Advice(missing []MissingFile) string {
	var all []string
	for _, g := range GroupMissing(missing) {
		all = append(all, fmt.Sprintf("%s (%d): %s", g.Reason, g.Files, g.Advice))
	}
	return strings.Join(all, ". ")
}

// saveFailedFiles replaces the list of files for which the last build of a locked hour failed.
func saveFailedFiles(ctx context.Context, tx *db.Tx, key domain.HourKey, missing []MissingFile) error {
	if len(missing) == 0 {
		_, err := tx.ExecContext(ctx, `DELETE FROM failed_files WHERE tenant = $1 AND day = $2 AND hour = $3`, key.Tenant, key.Day, key.Hour)
		return err
	}
	text, err := json.Marshal(missing)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO failed_files (tenant, day, hour, missing) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, day, hour) DO UPDATE SET missing = excluded.missing`, key.Tenant, key.Day, key.Hour, string(text))
	return err
}

// failedFiles lists the files for which the last build of an hour failed.
func failedFiles(ctx context.Context, tx *db.Tx, key domain.HourKey) (missing []MissingFile, err error) {
	var text string
	err = tx.QueryRowContext(ctx, `SELECT missing FROM failed_files WHERE tenant = $1 AND day = $2 AND hour = $3`,
		key.Tenant, key.Day, key.Hour).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal([]byte(text), &missing)
	return missing, err
}

// builtWithout says whether an object's bytes were missing in the last build of its recording's
// hour. The hour serves an archive without them and wants no other one, or it failed because of
// them and waits for its next try.
func builtWithout(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, key string) (bool, error) {
	var hour int
	var text string
	err := tx.QueryRowContext(ctx, `SELECT r.hour, a.missing FROM recordings r
		LEFT JOIN hours h ON h.tenant = r.tenant AND h.day = r.day AND h.hour = r.hour AND h.wanted = h.built
		LEFT JOIN archives a ON a.object_key = h.archive AND a.missing_count > 0
		WHERE r.tenant = $1 AND r.day = $2 AND r.object_key = $3`, tenant, day, key).Scan(&hour, db.OrZero(&text))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	missing, err := failedFiles(ctx, tx, domain.HourKey{Tenant: tenant, Day: day, Hour: hour})
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &missing)
	}
	return slices.ContainsFunc(missing, func(m MissingFile) bool { return m.ObjectKey == key }), err
}
