package catalogtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

// mergesRace registers lines of one conversation at the same time. Each writer sets a field of its
// own and one that all of them set. Every value is the present one or a former one, once.
func mergesRace(f *fixture) {
	const writers, rounds = 5, 4
	fields := []func(c *domain.Conversation, v string){
		func(c *domain.Conversation, v string) { c.Locale = v },
		func(c *domain.Conversation, v string) { c.SessionType = v },
		func(c *domain.Conversation, v string) { c.CallerPhone = v },
		func(c *domain.Conversation, v string) { c.KeyMode = v },
		func(c *domain.Conversation, v string) { c.AgentModel = v },
	}
	var group sync.WaitGroup
	var want []string
	for w := range writers {
		for round := range rounds {
			want = append(want, fmt.Sprintf(`"%d/%d"`, w, round))
		}
		group.Go(func() {
			for round := range rounds {
				v := fmt.Sprintf("%d/%d", w, round)
				raw := strings.Repeat("what all of them begin with, ", 20) + v
				line := domain.Conversation{ID: "c", AgentID: "a", Start: f.day.Start(), SessionStatus: v, TranscriptRaw: &raw}
				fields[w](&line, v)
				message := f.message("m")
				message.Body = json.RawMessage(fmt.Sprintf(`{"messageId":"m","v":%q,%q:1}`, v, v))
				if _, err := f.c.Register(f.ctx, f.tenant, catalog.Batch{Conversations: lines(1, line), Messages: lines(2, message)}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	group.Wait()
	e, err := conversations.New(f.c.DB()).Export(f.ctx, f.tenant, "c", false)
	f.must(err)
	c := e.Conversation
	last := fmt.Sprint(rounds - 1)
	equal(f, "own fields", fmt.Sprint(c.Locale, c.SessionType, c.CallerPhone, c.KeyMode, c.AgentModel), "0/"+last+"1/"+last+"2/"+last+"3/"+last+"4/"+last)
	got := []string{fmt.Sprintf("%q", c.SessionStatus)}
	transcripts := 0
	for _, v := range f.former("conversation", "c") {
		if name, value, _ := strings.Cut(v, "="); name == "sessionStatus" {
			got = append(got, value)
		} else if name == "transcript.raw" && strings.HasPrefix(value, `"what all of them begin with, `) {
			transcripts++
		}
	}
	slices.Sort(got)
	equal(f, "values of the shared field", fmt.Sprint(got), fmt.Sprint(want))
	equal(f, "former transcripts", transcripts, writers*rounds-1)
	equal(f, "former values of the message", len(f.former("message", "m")), writers*rounds-1)
}

// former gives the former values, latest first, as "field=value".
func (f *fixture) former(kind, id string) (list []string) {
	f.Helper()
	page, err := f.c.FormerValues(f.ctx, catalog.Subject{Tenant: f.tenant, Kind: kind, ID: id}, 0, 1000, 1<<20)
	f.must(err)
	for _, v := range page.Values {
		list = append(list, v.Field+"="+string(v.Value))
	}
	return list
}
