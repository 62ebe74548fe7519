package web

import (
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// maxRanges bounds the parts of one answer. A request for more parts gets all bytes.
const maxRanges = 16

// byteRange is the bytes of [From, To).
type byteRange struct{ From, To int64 }

// parseRanges reads a Range header for a body of size bytes. It gives the ranges that can be
// satisfied, in the order asked for, and false when the header is not a valid byte range set.
func parseRanges(header string, size int64) ([]byteRange, bool) {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return nil, false
	}
	var ranges []byteRange
	for _, item := range strings.Split(list, ",") {
		item = textproto.TrimString(item)
		if item == "" {
			continue
		}
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			return nil, false
		}
		b, satisfiable, ok := parseRange(textproto.TrimString(first), textproto.TrimString(last), size)
		if !ok {
			return nil, false
		}
		if satisfiable {
			ranges = append(ranges, b)
		}
	}
	return ranges, true
}

// rangeHeader is the Range header of ranges of a body of size bytes. For no ranges it is one that
// begins at the body's end, which can't be satisfied.
func rangeHeader(ranges []byteRange, size int64) string {
	if len(ranges) == 0 {
		return "bytes=" + strconv.FormatInt(size, 10) + "-"
	}
	list := make([]string, len(ranges))
	for i, r := range ranges {
		list[i] = fmt.Sprintf("%d-%d", r.From, r.To-1)
	}
	return "bytes=" + strings.Join(list, ",")
}

// parseRange reads one range. A valid one is not satisfiable when it begins behind the body's end.
func parseRange(first, last string, size int64) (b byteRange, satisfiable, ok bool) {
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return b, false, false
		}
		return byteRange{max(0, size-int64(n)), size}, n > 0 && size > 0, true
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return b, false, false
	}
	b = byteRange{int64(from), size}
	if last != "" {
		end, err := strconv.ParseUint(last, 10, 63)
		if err != nil || end < from {
			return b, false, false
		}
		if int64(end) < size-1 {
			b.To = int64(end) + 1
		}
	}
	return b, b.From < size, true
}
