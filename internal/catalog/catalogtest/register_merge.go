package catalogtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// mergesMeet lets writers tell of one conversation at the same time, each of a field of its own and all
// of one that they share: every value stands or is a former one, each once.
func mergesMeet(b *bench) {
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
				line := domain.Conversation{ID: "c", AgentID: "a", Start: b.day.Start(), SessionStatus: v, TranscriptRaw: &raw}
				fields[w](&line, v)
				message := b.message("m")
				message.Body = json.RawMessage(fmt.Sprintf(`{"messageId":"m","v":%q,%q:1}`, v, v))
				if _, err := b.c.Register(b.ctx, b.tenant, catalog.Batch{Conversations: lines(1, line), Messages: lines(2, message)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	e, err := b.c.Export(b.ctx, b.tenant, "c", false)
	b.must(err)
	c := e.Conversation
	last := fmt.Sprint(rounds - 1)
	equal(b, "own fields", fmt.Sprint(c.Locale, c.SessionType, c.CallerPhone, c.KeyMode, c.AgentModel), "0/"+last+"1/"+last+"2/"+last+"3/"+last+"4/"+last)
	got := []string{fmt.Sprintf("%q", c.SessionStatus)}
	transcripts := 0
	for _, v := range b.former("conversation", "c") {
		if name, value, _ := strings.Cut(v, "="); name == "sessionStatus" {
			got = append(got, value)
		} else if name == "transcript.raw" && strings.HasPrefix(value, `"what all of them begin with, `) {
			transcripts++
		}
	}
	slices.Sort(got)
	equal(b, "values of the shared field", fmt.Sprint(got), fmt.Sprint(want))
	equal(b, "former transcripts", transcripts, writers*rounds-1)
	equal(b, "former values of the message", len(b.former("message", "m")), writers*rounds-1)
}

// former gives the former values, the latest first, as "field=value".
func (b *bench) former(kind, id string) (list []string) {
	b.Helper()
	page, err := b.c.Former(b.ctx, catalog.Subject{Tenant: b.tenant, Kind: kind, ID: id}, 0, 1000, 1<<20)
	b.must(err)
	for _, v := range page.Values {
		list = append(list, v.Field+"="+string(v.Value))
	}
	return list
}
