package web

import (
	"net/textproto"
	"strconv"
	"strings"
)

// maxRanges bounds the parts of one answer; who asks for more gets the whole.
const maxRanges = 16

// Span is the bytes from From up to, not including, To.
type Span struct{ From, To int64 }

// Ranges reads a Range header for a body of size bytes: the spans that can be satisfied, in the
// order asked for. False when the header is not a valid byte range set.
func Ranges(header string, size int64) ([]Span, bool) {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return nil, false
	}
	var spans []Span
	for _, item := range strings.Split(list, ",") {
		item = textproto.TrimString(item)
		if item == "" {
			continue
		}
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			return nil, false
		}
		s, fits, ok := span(textproto.TrimString(first), textproto.TrimString(last), size)
		if !ok {
			return nil, false
		}
		if fits {
			spans = append(spans, s)
		}
	}
	return spans, true
}

// rangeHeader spells spans of a body of size bytes; none is a range behind its end.
func rangeHeader(spans []Span, size int64) string {
	if len(spans) == 0 {
		return "bytes=" + strconv.FormatInt(size, 10) + "-"
	}
	b := []byte("bytes=")
	for i, s := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, s.From, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, s.To-1, 10)
	}
	return string(b)
}

// span reads one range; fits is false when it lies behind the end.
func span(first, last string, size int64) (s Span, fits, ok bool) {
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return s, false, false
		}
		return Span{max(0, size-int64(n)), size}, n > 0 && size > 0, true
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return s, false, false
	}
	s = Span{int64(from), size}
	if last != "" {
		end, err := strconv.ParseUint(last, 10, 63)
		if err != nil || end < from {
			return s, false, false
		}
		if int64(end) < size-1 {
			s.To = int64(end) + 1
		}
	}
	return s, s.From < size, true
}
