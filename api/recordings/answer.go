package recordings

import (
	"context"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// dayAnswer is the 200 of the day endpoint. The order of its fields is the wire's.
type dayAnswer struct {
	Date           domain.Day   `json:"date"`
	TotalSessions  int64        `json:"totalSessions"`
	TotalFiles     int64        `json:"totalFiles"`
	TotalSizeBytes int64        `json:"totalSizeBytes"`
	GeneratedAt    *string      `json:"generatedAt"`
	RetentionDays  int          `json:"retentionDays"`
	ExpiresAt      *string      `json:"expiresAt"`
	Links          []linkAnswer `json:"links"`
}

type linkAnswer struct {
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

// answer writes down what was issued; sums are those of the links.
func (h *handler) answer(ctx context.Context, issued catalog.IssuedDay) dayAnswer {
	v := issued.View
	a := dayAnswer{Date: v.Day, TotalSessions: v.Sessions, GeneratedAt: web.TimeOrNull(v.Completed), RetentionDays: v.RetentionDays,
		Links: make([]linkAnswer, 0, len(v.Hours))}
	if !v.Completed.IsZero() {
		a.ExpiresAt = web.TimeOrNull(v.RetentionEnd)
	}
	for _, hour := range v.Hours {
		l := h.link(ctx, issued, hour)
		a.TotalFiles += int64(l.FileCount)
		a.TotalSizeBytes += l.SizeBytes
		a.Links = append(a.Links, l)
	}
	return a
}

func (h *handler) link(ctx context.Context, issued catalog.IssuedDay, hour catalog.HourView) linkAnswer {
	key := domain.HourKey{Tenant: issued.View.Tenant, Day: issued.View.Day, Hour: hour.Hour}
	l := linkAnswer{Hour: key.HH(), Status: hour.State, Revision: hour.Revision}
	archive := hour.Archive
	if hour.State != catalog.StateAvailable || archive == nil {
		return l
	}
	token := h.deps.Links.SealLink(ctx, auth.Link{HourKey: key, Revision: archive.Revision, Archive: archive.Token, Expires: issued.LinksEnd})
	url := h.cfg.PublicURL + dayPath + "/" + string(key.Day) + "/" + key.HH() + "/download?token=" + token
	l.URL, l.URLExpiresAt, l.ManifestSHA256 = &url, web.TimeOrNull(issued.LinksEnd), &archive.ManifestSHA256
	l.SessionCount, l.FileCount, l.SizeBytes = archive.Sessions, archive.Files, archive.Size
	l.Revision, l.Rebuilding, l.MissingFileCount = archive.Revision, hour.Rebuilding, archive.MissingCount
	return l
}
