package zipformat

import (
	"encoding/binary"
	"math"
	"time"
)

// unixTime returns the time for the extra field. It gives false for times before 1970 and from
// 2038 on, because programs disagree about the field's sign.
func (e Entry) unixTime() (uint32, bool) {
	s := e.Modified.Unix()
	return uint32(s), s >= 0 && s <= math.MaxInt32
}

func (e Entry) appendTimeExtra(b []byte) []byte {
	seconds, ok := e.unixTime()
	if !ok {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, timeExtraID)
	b = binary.LittleEndian.AppendUint16(b, timeExtra-4)
	b = append(b, 1) // only the time of modification
	return binary.LittleEndian.AppendUint32(b, seconds)
}

// dosTime returns t in UTC in MS-DOS format, which has a precision of two seconds, clamped to the
// years of the format.
func dosTime(t time.Time) (clock, date uint16) {
	t = t.UTC()
	switch year := t.Year(); {
	case year < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	clock = uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	return clock, date
}

// Recorded returns what headers keep of a time: whole seconds, from 2038 on only even ones. All
// times before 1970 become the same one, because headers do not tell them from each other.
func Recorded(t time.Time) time.Time {
	if s, ok := (Entry{Modified: t}).unixTime(); ok {
		return time.Unix(int64(s), 0).UTC()
	}
	return fromDOS(dosTime(t))
}

// ParseTime returns what Recorded gave for the time of an entry. It reads the time's fields and the
// extra field of one of its headers. For fields that no archive has, its result means nothing.
func ParseTime(clock, date uint16, extra []byte) time.Time {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			break
		}
		if id == timeExtraID && n == timeExtra-4 {
			return time.Unix(int64(binary.LittleEndian.Uint32(extra[5:])), 0).UTC()
		}
		extra = extra[4+n:]
	}
	return fromDOS(clock, date)
}

// fromDOS returns the time of an entry that has only the time in MS-DOS format.
func fromDOS(clock, date uint16) time.Time {
	t := time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31), int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
	if t.Year() <= 1980 {
		return time.Unix(-1, 0).UTC()
	}
	return t
}
