package catalogtest

import (
	"encoding/json"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// sealText is what a test looks at in a seal.
type sealText struct {
	Tenant, UTCDay              string
	Hours                       [24]sealHour
	AvailableHours, NoDataHours int
	PendingHours, FailedHours   int
	TotalFiles, TotalSessions   int64
	Salt                        string
}

type sealHour struct {
	Hour, State, ManifestSHA256 string
	Revision, FileCount         int64
}

// seals lists the seals that wait for their number in the log, oldest first.
func (f *fixture) seals() (list []sealText) {
	f.Helper()
	queued, err := f.c.Merkle().Queued(f.ctx, 1000)
	f.must(err)
	for _, r := range queued {
		if r.Kind != merkle.KindSeal {
			continue
		}
		var s sealText
		f.must(json.Unmarshal([]byte(r.Data), &s))
		list = append(list, s)
	}
	return list
}

// sealed checks that there are so many seals, and gives the newest.
func (f *fixture) sealed(want int) sealText {
	f.Helper()
	list := f.seals()
	equal(f, "seals", len(list), want)
	return list[want-1]
}

// sealOfDay: a day is sealed when no hour is pending, for each revision after, and at its end.
func sealOfDay(f *fixture) {
	f.add(1, 2)
	f.plan()
	f.publish(1)
	equal(f, "seals while an hour is pending", len(f.seals()), 0)
	f.publish(2)
	first := f.sealed(1)
	equal(f, "day", first.Tenant+" "+first.UTCDay, f.tenant+" "+string(f.day))
	v := f.view()
	for i, h := range first.Hours {
		want := sealHour{Hour: domain.HourKey{Hour: i}.HH(), State: catalog.StateNoData}
		if a := v.Hours[i].Archive; a != nil {
			want.State, want.Revision, want.ManifestSHA256, want.FileCount = catalog.StateAvailable, 1, a.ManifestSHA256, int64(a.Files)
		}
		equal(f, "hour", h, want)
	}
	equal(f, "counts", [4]int{first.AvailableHours, first.NoDataHours, first.PendingHours, first.FailedHours}, [4]int{2, 22, 0, 0})
	equal(f, "files", first.TotalFiles, v.Files)
	equal(f, "salt", len(first.Salt), 32)

	f.plan() // nothing changes
	n, err := f.c.SealDays(f.ctx, 100)
	f.must(err)
	equal(f, "days without a seal", n, 0)
	f.sealed(1)

	f.commitNext(1, 5)
	second := f.sealed(2)
	equal(f, "revision", second.Hours[1].Revision, 2)
	equal(f, "another salt", second.Salt != first.Salt, true)

	f.passUntil(f.view().RetentionEnd)
	f.expire(1)
	last := f.sealed(3)
	last.Salt = second.Salt
	equal(f, "the day at its end", last, second)
}

// sealOfEmptyDay: a day without recordings is sealed by its plan, one that ends pending at its end.
func sealOfEmptyDay(f *fixture) {
	f.plan()
	equal(f, "hours without data", f.sealed(1).NoDataHours, 24)
	f.day = f.day.Add(-1)
	f.add(3)
	f.plan()
	f.sealed(1)
	f.passUntil(f.view().RetentionEnd)
	f.expire(1)
	s := f.sealed(2)
	equal(f, "pending at the end", s.PendingHours, 1)
	equal(f, "hour", s.Hours[3].State, catalog.StatePending)
}
