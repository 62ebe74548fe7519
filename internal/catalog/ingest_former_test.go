package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// FuzzFormer stores a value as its difference from the next one, and restores it.
func FuzzFormer(f *testing.F) {
	long := "[" + string(make([]byte, shortValue)) + "漢字"
	pieced := strings.Repeat(long, 10)
	for _, s := range [][2]string{{"", ""}, {long + "]", long + ",1]"}, {long, ""}, {long + "a漢", long + "a潢"}, {"漢" + long, "潢" + long}, {long + long, long}, {long, long + long}, {"1" + pieced + "2" + pieced, "漢" + pieced + "3" + pieced + "4"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, value, after string) {
		v := formerOf("id", "field", value, after)
		if before, err := v.before(after); err != nil || before != value || len(v.value) > len(value) || v.cleared {
			t.Fatalf("%q before %q is kept as %+v", value, after, v)
		}
		if utf8.ValidString(value) && utf8.ValidString(after) && !utf8.ValidString(v.value) {
			t.Fatalf("%q before %q: the kept %q is no text", value, after, v.value)
		}
	})
}

// TestFormerOfResent sends values again that change in several places with each turn. The stored
// bytes must grow with the number of turns, not with its square.
func TestFormerOfResent(t *testing.T) {
	shapes := map[string]string{
		"appended":            `[%[2]s]`,
		"counted before":      `{"duration":%[1]d,"items":[%[2]s]}`,
		"counted in between":  `{"items":[%[2]s],"turns":%[1]d,"more":[%[2]s]}`,
		"counted three times": `{"a":%[1]d,"items":[%[2]s],"b":%[1]d,"more":[%[2]s],"c":%[1]d}`,
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			var turns []string
			kept, value := 0, ""
			for i := range 200 {
				sum := sha256.Sum256([]byte{byte(i)})
				turns = append(turns, fmt.Sprintf(`{"turn":%d,"text":"漢字 %s"}`, i, strings.Repeat(hex.EncodeToString(sum[:]), 8)))
				after := fmt.Sprintf(shape, i+1000, strings.Join(turns, ","))
				v := formerOf("id", "field", value, after)
				if before, err := v.before(after); err != nil || before != value || !utf8.ValidString(v.value) {
					t.Fatalf("turn %d is not restored from what is kept", i)
				}
				kept += len(v.value)
				value = after
			}
			if kept > len(value) {
				t.Errorf("%d bytes are kept of former values, the last of which has %d", kept, len(value))
			}
		})
	}
}

// TestFormerPatches reads back former values that are kept as patches.
func TestFormerPatches(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := OpenMigrated(t, url)
			if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "t", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			var said string
			for i := range 50 {
				said += fmt.Sprintf(`"what is said 漢字 %d",`, i)
			}
			var want []string
			for i := range 4 {
				raw := fmt.Sprintf(`{"duration":%d,"items":[%s%d]}`, i, said, i)
				line := domain.Conversation{ID: "c", AgentID: "a", Start: time.Unix(1_700_000_000, 0), TranscriptRaw: &raw}
				if _, err := c.Register(t.Context(), "t", Batch{Origin: audit.Origin{Actor: "internal"}, Conversations: []Line[domain.Conversation]{{Number: 1, Value: line}}}); err != nil {
					t.Fatal(err)
				}
				want = append([]string{raw}, want...)
				said += `"more",`
			}
			var patches int
			if err := c.db.QueryRowContext(t.Context(), `SELECT count(*) FROM history WHERE head = -1`).Scan(&patches); err != nil || patches != 3 {
				t.Errorf("%d former values are kept as patches, %v, want 3", patches, err)
			}
			page, err := c.FormerValues(t.Context(), Subject{"t", kindConversation, "c"}, 0, 10, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range page.Values {
				var raw string
				if err := json.Unmarshal(v.Value, &raw); err != nil {
					t.Fatal(err)
				}
				got = append(got, raw)
			}
			if d := cmp.Diff(want[1:], got); d != "" {
				t.Error(d)
			}
		})
	}
}
