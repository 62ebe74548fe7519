package catalog

import (
	"fmt"
	"testing"
)

func TestList(t *testing.T) {
	l := newList("VALUES ", "(#, @, @)", " ;")
	if got, want := l.texts[1], "VALUES (0, $1, $2), (1, $3, $4) ;"; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	for rows, want := range map[int]string{0: "[]", 1: "[0:1]", 5: "[0:4 4:1]", 32: "[0:32]", 71: "[0:32 32:32 64:4 68:2 70:1]"} {
		got := []string{}
		next := 0
		err := l.each(make([]any, 2*rows), func(text string, args []any, before int) error {
			got = append(got, fmt.Sprintf("%d:%d", before, len(args)/2))
			next = before + len(args)/2
			return nil
		})
		if err != nil || fmt.Sprint(got) != want || next != rows {
			t.Errorf("%d rows: %v, %v, want %s", rows, got, err, want)
		}
	}
}
