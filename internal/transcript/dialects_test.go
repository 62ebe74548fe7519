package transcript

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDialects reads a transcript of each dialect and compares the turns and calls with the golden
// file beside it.
func TestDialects(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, string(raw)); got != string(want) {
				t.Errorf("got\n%s\nwant, by %s,\n%s", got, golden, want)
			}
		})
	}
}

// read returns a line for each turn and each call.
func read(t *testing.T, raw string) string {
	t.Helper()
	var out strings.Builder
	for turn, err := range Turns(strings.NewReader(raw)) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s: %s", turn.Role, turn.Text)
		if !turn.At.IsZero() {
			out.WriteString(" @" + turn.At.Format(time.RFC3339Nano))
		}
		if turn.Offset != nil {
			out.WriteString(" +" + strconv.FormatFloat(*turn.Offset, 'g', -1, 64))
		}
		out.WriteByte('\n')
	}
	calls, err := Calls(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		out.WriteString("call " + show(c) + "\n")
	}
	return out.String()
}
