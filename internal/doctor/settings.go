package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/config"
)

func (d *Doctor) settings(context.Context) Result {
	if d.s.Settings != nil {
		var lines []string
		for _, p := range d.s.Settings.Problems {
			lines = append(lines, p.Variable+": "+p.Text)
		}
		advice := "change these; docs/configuration.md describes every setting"
		if d.unusable("CALLVAULT_DATABASE_URL") && d.unusable("CALLVAULT_REDIS_URL") && d.unusable("CALLVAULT_S3_ENDPOINT") {
			advice += "; leave --roles out to examine callvault standalone, whose parts no role uses"
		}
		return fail(strings.Join(lines, "\n"), advice)
	}
	if len(d.s.Unknown) > 0 {
		return warn("no setting of this program: "+strings.Join(d.s.Unknown, ", "), "correct the spelling, or unset them")
	}
	return pass("every setting can be used")
}

func (d *Doctor) schedule(context.Context) Result {
	if d.unusable("CALLVAULT_SCHEDULE") {
		return skip("because CALLVAULT_SCHEDULE cannot be used")
	}
	spec, err := config.ParseSchedule(d.s.Config.Schedule)
	if err != nil {
		return failErr(err, "set CALLVAULT_SCHEDULE to minute, hour, day, month and weekday in UTC, such as 0 2 * * *")
	}
	next := spec.Next(d.s.Now())
	return pass("%q fires next at %s", d.s.Config.Schedule, next.UTC().Format(time.RFC3339))
}

// plentyFree is how many bytes must be free on a disk without a warning.
const plentyFree = 4 * LeastFree

// disk checks the directories of the embedded parts and of a SQLite file.
func (d *Doctor) disk(context.Context) Result {
	var dirs []string
	if embedded := d.s.EmbeddedCatalog || d.s.EmbeddedQueue || d.s.EmbeddedObjects; embedded {
		if d.s.Absent != "" {
			return fail(d.s.Absent, noDataAdvice(d.s.Absent))
		}
		dirs = append(dirs, d.s.Config.Data)
	}
	if path, ok := d.sqlitePath(); ok && !d.s.EmbeddedCatalog {
		dirs = append(dirs, filepath.Dir(path))
	}
	if len(dirs) == 0 {
		return skip("callvault keeps nothing on this host's disk")
	}
	saw := make([]string, 0, len(dirs))
	look := CheckDisk
	if !d.s.Try {
		look = lookAtDisk
	}
	for _, dir := range dirs {
		if err := look(dir, LeastFree); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return failErr(err, "let this user write there, or ask as the user that callvault runs as")
			}
			return failErr(err, "make room, or move the data to a larger disk; nothing is taken in or built before")
		}
		free, size, err := freeSpace(dir)
		if err != nil {
			return failErr(err, "look at the file system")
		}
		text := fmt.Sprintf("%s of %s are free in %s", humanize.IBytes(free), humanize.IBytes(size), dir)
		if free < plentyFree {
			return warn(text, "make room: below "+humanize.IBytes(LeastFree)+" callvault is not ready any more")
		}
		saw = append(saw, text)
	}
	return pass("%s", strings.Join(saw, "; "))
}

func noDataAdvice(why string) string {
	switch {
	case strings.Contains(why, "permission denied"):
		return "let this user write there, or ask as the user that callvault runs as"
	case strings.Contains(why, "is not ready"):
		return "ask again in a moment"
	}
	return "ask where callvault runs: with the settings of its roles, or with --data naming the directory of callvault standalone; a new one is made by its first start"
}

func (d *Doctor) sqlitePath() (string, bool) {
	u, err := url.Parse(d.s.Config.DatabaseURL.Reveal())
	if err != nil || u.Scheme != "sqlite" {
		return "", false
	}
	return u.Path, true
}
