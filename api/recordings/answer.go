package recordings

import (
	"context"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// dayAnswer is the answer of the day endpoint.
type dayAnswer struct {
	Date           domain.Day `json:"date"`
	TotalSessions  int64      `json:"totalSessions"`
	TotalFiles     int64      `json:"totalFiles"`
	TotalSizeBytes int64      `json:"totalSizeBytes"`
	GeneratedAt    *string    `json:"generatedAt"`
	RetentionDays  int        `json:"retentionDays"`
	ExpiresAt      *string    `json:"expiresAt"`
	Links          []hourLink `json:"links"`
}

// hourLink is what the answer says of one hour.
type hourLink struct {
	Hour             string  `json:"hour"`
	URL              *string `json:"url"`
	SessionCount     int     `json:"sessionCount"`
	FileCount        int     `json:"fileCount"`
	SizeBytes        int64   `json:"sizeBytes"`
	Status           string  `json:"status"`
	URLExpiresAt     *string `json:"urlExpiresAt"`
	ManifestSHA256   *string `json:"manifestSha256"`
	Revision         int64   `json:"revision"`
	Rebuilding       bool    `json:"rebuilding"`
	MissingFileCount int     `json:"missingFileCount"`
}

// answer makes the answer of a day for the application that asked. Files and bytes are those of its
// links.
func (h *handler) answer(ctx context.Context, d *catalog.IssuedDay, holder catalog.Holder) dayAnswer {
	out := dayAnswer{Date: d.Day, TotalSessions: d.Sessions, GeneratedAt: web.TimeOrNull(d.Settled), RetentionDays: d.RetentionDays,
		Links: make([]hourLink, 0, len(d.Hours))}
	if !d.Settled.IsZero() {
		out.ExpiresAt = web.TimeOrNull(d.RetentionEnd)
	}
	for i := range d.Hours {
		l := h.link(ctx, d, &d.Hours[i], holder)
		out.TotalFiles += int64(l.FileCount)
		out.TotalSizeBytes += l.SizeBytes
		out.Links = append(out.Links, l)
	}
	return out
}

// link makes the element of one hour.
func (h *handler) link(ctx context.Context, d *catalog.IssuedDay, hour *catalog.ServedHour, holder catalog.Holder) hourLink {
	key := domain.HourKey{Tenant: d.Tenant, Day: d.Day, Hour: hour.Hour}
	l := hourLink{Hour: key.HH(), Status: hour.State, Revision: hour.Revision}
	a := hour.Archive
	if hour.State != catalog.StateAvailable || a == nil {
		return l
	}
	token := h.deps.Links.SignLink(ctx, auth.Link{HourKey: key, Revision: a.Revision, Archive: a.Token, Expires: d.LinksEnd, Holder: holder})
	l.URL = new(h.cfg.PublicURL + dayPath + "/" + string(d.Day) + "/" + l.Hour + "/download?token=" + token)
	l.SessionCount, l.FileCount, l.SizeBytes, l.MissingFileCount = a.Sessions, a.Files, a.Size, a.MissingCount
	l.URLExpiresAt, l.ManifestSHA256, l.Revision, l.Rebuilding = web.TimeOrNull(d.LinksEnd), web.TextOrNull(a.ManifestSHA256), a.Revision, hour.Rebuilding
	return l
}
