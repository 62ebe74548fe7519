package catalog

import (
	"database/sql"
	"sync"
	"time"
)

// servedDays bounds the memory of a dayCache: what is made of a day is some 12 KB.
const servedDays = 4096

// servedDay is a day as it was handed out. It is as good as a fresh reading while the day's
// version stands, since every change of a day raises it.
type servedDay struct {
	view       *DayView // as it was read; nil when only what was made of it is left
	made       any      // by a request's Make; nil while none has any
	known      bool     // it has a row, and so a version
	version    int64
	linksUntil time.Time // every archive of view is kept until then
	links      any       // what the audit log calls its links; nil when there is none
}

// fits says whether s is the day at this version with its archives kept long enough.
func (s *servedDay) fits(version sql.NullInt64, linksEnd time.Time) bool {
	return s != nil && version.Valid && s.version == version.Int64 && !s.linksUntil.Before(linksEnd)
}

// make has what the request wants to be made of the day.
func (s *servedDay) make(of func(v *DayView) any) any {
	if s.made == nil && of != nil {
		s.made = of(s.view)
	}
	return s.made
}

// dayCache spares the reading of 24 hours for every answer. The zero value is ready.
type dayCache struct {
	mu   sync.Mutex
	days map[DayKey]*servedDay
}

func (d *dayCache) get(key DayKey) *servedDay {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.days[key]
}

// put keeps what was made of a day that has a version, and not the day itself.
func (d *dayCache) put(key DayKey, s *servedDay) {
	if s.made == nil || !s.known {
		return
	}
	if s.view != nil {
		s = &servedDay{made: s.made, known: true, version: s.version, linksUntil: s.linksUntil, links: s.links}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.days == nil {
		d.days = make(map[DayKey]*servedDay)
	}
	if old := d.days[key]; old != nil && old.version > s.version {
		return
	}
	if _, known := d.days[key]; !known && len(d.days) >= servedDays {
		for victim := range d.days { // any will do
			delete(d.days, victim)
			break
		}
	}
	d.days[key] = s
}
