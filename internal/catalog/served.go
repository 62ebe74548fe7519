package catalog

import (
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// States of an hour, as it is served.
const (
	StatePending   = "pending"
	StateAvailable = "available"
	StateNoData    = "no_data"
	StateFailed    = "failed"
	StateExpired   = "expired"
)

// ServedHour is what an hour serves.
type ServedHour struct {
	Hour       int
	State      string
	Revision   int64
	Rebuilding bool // an archive is served and a newer revision is wanted
	Archive    *ArchiveView
}

// ArchiveView is the archive that an hour serves.
type ArchiveView struct {
	ObjectKey      string
	Token          string
	Revision       int64
	Size           int64
	Files          int
	Sessions       int
	MissingCount   int
	ManifestSHA256 string
	ETag           string
	Published      time.Time
}

const (
	servedColumns = `h.hour, h.state, h.revision, h.wanted <> h.built, a.object_key, a.token, a.revision, a.size,
	a.file_count, a.session_count, a.missing_count, a.manifest_sha256, a.etag, a.published_us`
	hoursOfDay = ` FROM hours h LEFT JOIN archives a ON a.object_key = h.archive WHERE h.tenant = $1 AND h.day = $2`
)

// scanServed scans servedColumns, and the columns after them into more.
func scanServed(rows *sql.Rows, more ...any) (h ServedHour, err error) {
	var a ArchiveView
	err = rows.Scan(append([]any{&h.Hour, &h.State, &h.Revision, &h.Rebuilding, db.OrZero(&a.ObjectKey), db.OrZero(&a.Token), db.OrZero(&a.Revision), db.OrZero(&a.Size),
		db.OrZero(&a.Files), db.OrZero(&a.Sessions), db.OrZero(&a.MissingCount), db.OrZero(&a.ManifestSHA256), db.OrZero(&a.ETag), db.Time(&a.Published)}, more...)...)
	if a.ObjectKey == "" {
		h.Rebuilding = false
	} else {
		h.Archive = &a
	}
	return h, err
}
