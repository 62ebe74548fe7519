package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of tenants in the audit log. The line of a download and the day.links line of its link
// name the same object and the same end of the link; see docs/audit.md.
const (
	ActionDay      = "day.links"      // a day's links were issued
	ActionDownload = "download.begun" // bytes of an archive were given, and counted

	// ActionContinued is the first request of an hour, by a link and from an address, that
	// continued a counted download.
	ActionContinued = "download.continued"

	// ActionPublish is an archive that an hour serves from then on.
	ActionPublish = "archive.publish"
)

// issuedLink describes one link in an audit detail. The link itself is not written, because it is
// secret.
type issuedLink struct {
	Hour     string `json:"hour"` // "00" to "23"
	Revision int64  `json:"revision"`
	Object   string `json:"object"`
}

// dayDetail is the detail of a day's links. The links are in audit_links, because all answers for
// an unchanged day have the same ones. Links is an empty list for a day without any, and else nil.
type dayDetail struct {
	Day   domain.Day `json:"day"`
	Until time.Time  `json:"until"`
	audit.Origin
	Links *[]issuedLink `json:"links,omitempty"`
}

type downloadDetail struct {
	Day       domain.Day `json:"day"`
	Hour      string     `json:"hour"`
	Revision  int64      `json:"revision"`
	Object    string     `json:"object"`
	Until     time.Time  `json:"until"`               // when the link ends
	Continues bool       `json:"continues,omitempty"` // it does not start at the first byte
	audit.Origin
}

const saveLinksSQL = `INSERT INTO audit_links (sum, links) VALUES ($1, $2) ON CONFLICT (sum) DO NOTHING`

// saveLinks stores the links of a day for the audit log. It gives their SHA-256, which is their
// name there; nil when there are no links.
func saveLinks(ctx context.Context, tx *db.Tx, hours *[24]ServedHour) (any, error) {
	var links []issuedLink
	for _, h := range hours {
		if h.State == StateAvailable && h.Archive != nil {
			links = append(links, issuedLink{Hour: domain.HourKey{Hour: h.Hour}.HH(), Revision: h.Archive.Revision, Object: h.Archive.ObjectKey})
		}
	}
	if links == nil {
		return nil, nil
	}
	text, err := json.Marshal(links)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	_, err = tx.ExecContext(ctx, saveLinksSQL, sum[:], string(text))
	return sum[:], err
}

// publishDetail is the detail of ActionPublish.
type publishDetail struct {
	Day            domain.Day `json:"day"`
	Hour           string     `json:"hour"`
	Revision       int64      `json:"revision"`
	ObjectKey      string     `json:"objectKey"`
	Size           int64      `json:"size"` // bytes
	Files          int        `json:"files"`
	Missing        int        `json:"missing"`
	ManifestSHA256 string     `json:"manifestSha256"`
}

// auditPublish writes the line of a publication.
func auditPublish(ctx context.Context, tx *db.Tx, b Claim, r BuildResult, at int64) error {
	return WorkerOrigin().Append(ctx, tx, at, b.Tenant, ActionPublish, publishDetail{
		Day: b.Day, Hour: b.HH(), Revision: b.Revision, ObjectKey: b.ObjectKey(), Size: r.Size, Files: r.Files,
		Missing: len(r.Missing), ManifestSHA256: r.ManifestSHA256,
	})
}
