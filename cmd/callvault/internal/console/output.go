package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// IsTerminal reports whether w is a terminal, or /dev/null, where the difference does not matter.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// JSON writes v as --json prints it: indented, and with a newline at the end. Characters that
// control a terminal are escaped, which changes nothing for a reader of JSON.
func JSON(w io.Writer, v any) error { return writeJSON(w, v, "  ") }

// JSONLine is JSON on one line, for lists.
func JSONLine(w io.Writer, v any) error { return writeJSON(w, v, "") }

func writeJSON(w io.Writer, v any, indent string) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	if err == nil {
		_, err = w.Write(escapeControls(out.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// escapeControls escapes what encoding/json leaves: DEL, the C1 controls and those of text
// direction. They stand only inside strings.
func escapeControls(b []byte) []byte {
	if !bytes.ContainsFunc(b, escaped) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		if escaped(r) {
			out = fmt.Appendf(out, "\\u%04x", r)
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

func escaped(r rune) bool {
	return r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

// Table writes rows in aligned columns under their headings. Cells are cleaned.
func Table(w io.Writer, headings []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{headings}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = Clean(cell)
		}
		if _, err := fmt.Fprintln(tw, strings.Join(cells, "\t")); err != nil {
			return fmt.Errorf("write a table: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write a table: %w", err)
	}
	return nil
}

// Clean replaces control characters and those of text direction by U+FFFD. Use it for every text
// from outside, such as names of entries and answers of servers.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
