package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// ParseExportQuery is ParseQuery, but its error names the parameter that can't be read, where that
// is known. The parameter's name is the second value.
func ParseExportQuery(raw string) (Query, string, error) {
	q, err := ParseQuery(raw)
	if err == nil {
		return q, "", nil
	}
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		name, keyErr := url.QueryUnescape(key)
		_, valueErr := url.QueryUnescape(value)
		if keyErr == nil && valueErr == nil && !strings.Contains(pair, ";") {
			continue
		}
		if keyErr != nil || !plainName(name) {
			break
		}
		return q, name, domain.Errorf(domain.KindInvalid, "%s can't be read: it is not escaped as a query's parameters are", name)
	}
	return q, "", err
}

// plainName says whether a parameter's name may be written into an answer. All names that the
// endpoints know may.
func plainName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool { return !(c >= 'a' && c <= 'z' || c == '_') })
}

// NDJSON is the media type of lines that are one JSON value each.
const NDJSON = "application/x-ndjson"

// WantsNDJSON says whether the request's Accept prefers lines to one document.
func WantsNDJSON(r *http.Request) bool {
	ndjson, document := 0.0, 0.0
	for _, header := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(header, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case NDJSON:
				ndjson = max(ndjson, quality(parameters))
			case "application/json":
				document = max(document, quality(parameters))
			}
		}
	}
	return ndjson > 0 && ndjson >= document
}

// quality reads the q of a media range's parameters.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
