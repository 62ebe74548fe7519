package catalog

import (
	"fmt"
	"testing"
)

func TestList(t *testing.T) {
	l := newList("VALUES ", "(#, @, @)", " ;")
	for rows, want := range map[int]string{0: "[]", 1: "[0:1]", 2: "[0:2]", 5: "[0:4 4:1]", 7: "[0:6 6:1]", 32: "[0:32]", 47: "[0:32 32:12 44:3]",
		199: "[0:64 64:64 128:64 192:6 198:1]"} {
		got := []string{}
		next := 0
		err := l.each(make([]any, 2*rows), func(text string, args []any, before int) error {
			if got, want := text, "VALUES (0, $1, $2), (1, $3, $4) ;"; len(args) == 4 && got != want {
				t.Errorf("%q, want %q", got, want)
			}
			got = append(got, fmt.Sprintf("%d:%d", before, len(args)/2))
			next = before + len(args)/2
			return nil
		})
		if err != nil || fmt.Sprint(got) != want || next != rows {
			t.Errorf("%d rows: %v, %v, want %s", rows, got, err, want)
		}
	}
}
