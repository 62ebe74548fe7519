package queue

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/callvault/callvault/internal/domain"
)

func TestIDs(t *testing.T) {
	key := domain.HourKey{Tenant: "a-b_c", Day: "2025-12-12", Hour: 7}
	if got, want := (Task{Key: key, Dispatch: 3}).ID(), "h:a_hb__c:20251212:07:d3"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	// Every tenant id of up to four of these letters has a form of its own.
	seen := map[string]string{}
	letters := []string{"_", "-", "h", "x"}
	ids := []string{""}
	for range 4 {
		var longer []string
		for _, id := range ids {
			for _, letter := range letters {
				longer = append(longer, id+letter)
			}
		}
		for _, id := range longer {
			form := escape(id)
			if other, taken := seen[form]; taken || strings.Contains(form, "-") {
				t.Fatalf("%q is written %q, as is %q", id, form, other)
			}
			seen[form] = id
		}
		ids = longer
	}
}

func FuzzDecodeTask(f *testing.F) {
	whole := Task{Key: domain.HourKey{Tenant: "t_1", Day: "2025-01-31", Hour: 23}, Dispatch: 9}
	good, err := whole.encode()
	if err != nil {
		f.Fatal(err)
	}
	if back, err := decodeTask(good); err != nil || back != whole {
		f.Fatalf("round trip gave %+v, %v", back, err)
	}
	f.Add(good)
	f.Add([]byte(`{"tenant":"../x","day":"2025-01-31","hour":1,"dispatch":1}`))
	f.Add([]byte(`{"tenant":"t","day":"2025-02-30","hour":1,"dispatch":1}`))
	f.Add([]byte(`{"tenant":"t","day":"2025-02-03","hour":24,"dispatch":1}`))
	sane := regexp.MustCompile(`^h:[A-Za-z0-9_]{1,128}:\d{8}:\d\d:d\d+$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := decodeTask(data)
		if err != nil {
			if domain.KindOf(err) != domain.KindInvalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		if !sane.MatchString(task.ID()) {
			t.Fatalf("id %q", task.ID())
		}
	})
}

func TestOutcome(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.1: refused")
	down := domain.Wrap(domain.KindUnavailable, secret, "the catalog failed")
	tests := []struct {
		name string
		err  error
		want error // nil: completed
	}{
		{"done", nil, nil},
		{"claim lost", domain.Errorf(domain.KindLost, "gone"), nil},
		{"unknown tenant", domain.Errorf(domain.KindNotFound, "no"), nil},
		{"recorded", Recorded(down), asynq.SkipRetry},
		{"drain", domain.Errorf(domain.KindInterrupted, "stopping"), asynq.RevokeTask},
		{"bad payload", domain.Errorf(domain.KindInvalid, "no hour"), asynq.SkipRetry},
	}
	for _, test := range tests {
		got := asynqError(test.err)
		if (test.want == nil) != (got == nil) || !errors.Is(got, test.want) {
			t.Errorf("%s: %v", test.name, got)
		}
		if got != nil && strings.Contains(got.Error(), "10.0.0.1") {
			t.Errorf("%s: the cause reaches Redis: %v", test.name, got)
		}
	}
	if got := asynqError(Recorded(domain.Errorf(domain.KindUnavailable, "read acme/c-1/a.opus"))); strings.Contains(got.Error(), "c-1") || !strings.Contains(got.Error(), "unavailable") {
		t.Errorf("what may be erased reaches Redis: %v", got)
	}
	again := asynqError(down)
	if again == nil || errors.Is(again, asynq.SkipRetry) || errors.Is(again, asynq.RevokeTask) || strings.Contains(again.Error(), "10.0.0.1") {
		t.Errorf("an unavailable catalog: %v", again)
	}
}
