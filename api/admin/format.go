package admin

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/domain"
)

// formats are the functions by which the templates format values. basePath is Config.BasePath, with
// which every link of a page begins.
func formats(basePath string) template.FuncMap {
	return template.FuncMap{
		"base": func() string { return basePath },

		"bytes":   func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
		"when":    when,
		"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"since":   func(now, t time.Time) string { return duration(now.Sub(t)) },
		"span":    duration,
		"hh":      func(hour int) string { return fmt.Sprintf("%02d", hour) },
		"comma":   humanize.Comma,
		"count":   count,
		"counted": func(n int64, one, many string) string { return count(int(n), one, many) },
		"times":   func(n int64) string { return count(int(n), "time", "times") },

		"tenantPath": tenantPath,
		"dayPath":    dayPath,
		"hourPath":   hourPath,
	}
}

// when formats a time in UTC, without saying so: the column or the sentence does.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// duration formats a duration in its two largest units.
func duration(d time.Duration) string {
	if d > 0 && d < time.Second {
		return "under 1 s"
	}
	d = max(d, 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// sentence makes an error message a sentence. It does not change a first word that may be an id.
func sentence(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' && r != ',' }) {
		return strings.TrimSuffix(text, ".") + "."
	}
	first, size := utf8.DecodeRuneInString(text)
	return strings.TrimSuffix(string(unicode.ToUpper(first))+text[size:], ".") + "."
}

// Paths of the console, without Config.BasePath.
func tenantPath(tenant string) string { return "/admin/tenants/" + tenant }

func dayPath(tenant string, day domain.Day) string {
	return tenantPath(tenant) + "/days/" + string(day)
}

func hourPath(k domain.HourKey) string { return dayPath(k.Tenant, k.Day) + "/hours/" + k.HH() }
