package rawjson

// HasLoneSurrogate says whether an escape in JSON is one half of a surrogate pair alone, which
// encoding/json replaces in silence.
func HasLoneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		unit, ok := escapeUnit(text, i)
		if !ok || unit < 0xd800 || unit > 0xdfff {
			continue
		}
		i += 5
		low, ok := uint16(0), i < len(text) && text[i] == '\\'
		if ok {
			low, ok = escapeUnit(text, i+1)
		}
		if unit >= 0xdc00 || !ok || low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 5
	}
	return false
}

// escapeUnit decodes the u and four hex digits at i.
func escapeUnit(text []byte, i int) (uint16, bool) {
	if i+4 >= len(text) || text[i] != 'u' {
		return 0, false
	}
	var unit uint16
	for _, c := range text[i+1 : i+5] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint16(c)
	}
	return unit, true
}
