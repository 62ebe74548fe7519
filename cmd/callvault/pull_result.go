package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

// pullJSON is the output of --json.
type pullJSON struct {
	State string        `json:"state"`
	Days  []pullDayJSON `json:"days"`
}

type pullDayJSON struct {
	Date  string         `json:"date"`
	State string         `json:"state"`
	Kept  bool           `json:"kept,omitempty"` // past the server's retention, and complete here
	Error string         `json:"error,omitempty"`
	Seal  string         `json:"seal,omitempty"` // saved, present, awaited, no_seals or error; none while hours are pending or failed here
	Hours []pullHourJSON `json:"hours"`          // none when the server did not answer for the day
}

type pullHourJSON struct {
	Hour             string `json:"hour"`
	State            string `json:"state"`
	File             string `json:"file,omitempty"`
	Checked          bool   `json:"checked"` // this pull has read the archive
	SizeBytes        int64  `json:"sizeBytes"`
	Revision         int64  `json:"revision"`
	Rebuilding       bool   `json:"rebuilding"`
	MissingFileCount int64  `json:"missingFileCount"`
	Error            string `json:"error,omitempty"`
}

func (c *pullCmd) print(d *deps, r *client.Result) error {
	if !c.JSON {
		for i := range r.Days {
			if err := printClean(d.stdout, dayLines(&r.Days[i])...); err != nil {
				return err
			}
		}
		return nil
	}
	out := pullJSON{State: string(r.State()), Days: []pullDayJSON{}}
	for _, day := range r.Days {
		p := pullDayJSON{Date: day.Date, State: string(day.State), Kept: day.Kept, Error: errorText(errors.Join(day.Err, day.SealErr)), Seal: string(day.Seal), Hours: []pullHourJSON{}}
		for _, h := range day.Hours {
			p.Hours = append(p.Hours, pullHourJSON{
				Hour: h.Hour, State: string(h.State), File: h.Path, Checked: h.Checked, SizeBytes: h.SizeBytes, Revision: h.Revision,
				Rebuilding: h.Rebuilding, MissingFileCount: h.Missing, Error: errorText(h.Err),
			})
		}
		out.Days = append(out.Days, p)
	}
	return console.JSON(d.stdout, out)
}

// errorText is on one line, also of joined errors.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// dayLines has a line about the day, and one for each reason why hours failed.
func dayLines(d *client.DayResult) []string {
	counts := map[client.HourState]int{}
	var unread, rebuilding, missing int
	var failed hourGroups
	for _, h := range d.Hours {
		counts[h.State]++
		if h.State == client.HourPresent && !h.Checked {
			unread++
		}
		if h.Rebuilding {
			rebuilding++
		}
		missing += int(h.Missing)
		switch h.State {
		case client.HourLimited, client.HourRefused, client.HourError:
			failed.add(h.Hour, fmt.Sprintf("%s: %s", h.State, errorText(h.Err)))
		case client.HourFailed:
			failed.add(h.Hour, "failed on the server")
		case client.HourDownloaded, client.HourPresent, client.HourNoData, client.HourPending:
		}
	}
	var parts []string
	for _, s := range []struct {
		n    int
		text string
	}{
		{counts[client.HourDownloaded], "downloaded"}, {counts[client.HourPresent] - unread, "already there and read again"},
		{unread, "already there, not read again"}, {counts[client.HourNoData], "without data"},
		{counts[client.HourPending], "pending"}, {rebuilding, "with a newer revision to come"},
	} {
		if s.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.text))
		}
	}
	if d.Kept {
		parts = append(parts, "past the server's retention, kept here")
	}
	if missing > 0 {
		parts = append(parts, count(missing, "recording")+" declared missing")
	}
	switch d.Seal {
	case client.SealSaved, client.SealPresent:
		parts = append(parts, "sealed")
	case client.SealAwaited:
		parts = append(parts, "seal not out yet")
	case client.SealNone, client.SealError:
	}
	if err := errors.Join(d.Err, d.SealErr); err != nil {
		parts = append(parts, errorText(err))
	}
	lines := []string{strings.TrimRight(fmt.Sprintf("%s  %-10s  %s", d.Date, d.State, strings.Join(parts, ", ")), " ")}
	for _, g := range failed {
		lines = append(lines, fmt.Sprintf("  %s  %s", g.hours(), g.text))
	}
	return lines
}

// hourGroups are hours of one day by what is said of them, so that each text stands once.
type hourGroups []hourGroup

type hourGroup struct {
	text string
	list []string
}

func (g *hourGroups) add(hour, text string) {
	for i := range *g {
		if (*g)[i].text == text {
			(*g)[i].list = append((*g)[i].list, hour)
			return
		}
	}
	*g = append(*g, hourGroup{text, []string{hour}})
}

// hours lists the hours, such as "03, 05-07".
func (g hourGroup) hours() string {
	var out []string
	for i := 0; i < len(g.list); i++ {
		first := g.list[i]
		for i+1 < len(g.list) && hourNumber(g.list[i+1]) == hourNumber(g.list[i])+1 {
			i++
		}
		if last := g.list[i]; last != first {
			first += "-" + last
		}
		out = append(out, first)
	}
	return strings.Join(out, ", ")
}

// hourNumber returns 0 to 23 for "00" to "23".
func hourNumber(hour string) int {
	n, _ := strconv.Atoi(hour) // the client has checked it
	return n
}

// pullProgress shows a pull on the console, with a bar for each file and one for the day.
type pullProgress struct {
	console *console.Progress

	mu    sync.Mutex
	total *console.Task
	left  int // files of the plan that are not complete
	files map[string]*fileProgress
}

// fileProgress is a file of the plan.
type fileProgress struct {
	task        *console.Task // nil while it is not being downloaded
	at, counted int64         // its position, and how many of its bytes are in the total
}

func newPullProgress(c *console.Progress) *pullProgress {
	return &pullProgress{console: c, files: map[string]*fileProgress{}}
}

func (p *pullProgress) Plan(day string, files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endTotal()
	p.files, p.left = map[string]*fileProgress{}, files
	p.total = p.console.Start(day+" total", bytes)
}

func (p *pullProgress) Start(file string, from, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[file]
	if f == nil {
		f = &fileProgress{}
		p.files[file] = f
	}
	if f.task != nil {
		f.task.End(errReported)
	}
	f.task, f.at = p.console.Start(file, size), from
	f.task.Add(from)
	p.advance(f)
}

func (p *pullProgress) Advance(file string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[file]
	if f == nil || f.task == nil {
		return
	}
	f.task.Add(n)
	f.at += n
	p.advance(f)
}

// advance adds to the total the bytes that are not in it yet. A file that starts over counts once.
func (p *pullProgress) advance(f *fileProgress) {
	if n := f.at - f.counted; n > 0 && p.total != nil {
		p.total.Add(n)
		f.counted = f.at
	}
}

func (p *pullProgress) End(file string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.left--
	}
	if f := p.files[file]; f != nil && f.task != nil {
		f.task.End(err)
		f.task = nil
	}
}

func (p *pullProgress) Note(text string) { p.console.Printf("%s", text) }

// endTotal ends the bar of a day, which is not done unless every file of the plan is complete.
func (p *pullProgress) endTotal() {
	var err error
	if p.left > 0 {
		err = errReported
	}
	if p.total != nil {
		p.total.End(err)
	}
	p.total = nil
}

// close waits until the bars are drawn.
func (p *pullProgress) close() {
	p.mu.Lock()
	p.endTotal()
	p.mu.Unlock()
	p.console.Close()
}
