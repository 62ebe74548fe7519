package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/callvault/callvault/client/verify"
)

// PulledDay is the day.json that Pull has written beside the archives of a day.
type PulledDay struct {
	dir   string
	saved savedDay
}

// ReadPulledDay reads the day.json in dir. Its error is fs.ErrNotExist when there is none. A
// day.json that is a symbolic link is not followed.
func ReadPulledDay(dir string) (*PulledDay, error) {
	path := filepath.Join(dir, dayName)
	body, err := readFileIn(dir, dayName)
	if err != nil {
		return nil, fmt.Errorf("read what was pulled: %w", err)
	}
	if bytes.Contains(body, []byte(`"url"`)) { // Pull writes no URLs
		return nil, fmt.Errorf("%s is an answer of the server: pull left nothing here: %w", path, fs.ErrNotExist)
	}
	p := &PulledDay{dir: dir}
	if err := json.Unmarshal(body, &p.saved); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w); pull the day again", path, err)
	}
	if fault := hoursFault(p.saved.Links); fault != "" {
		return nil, fmt.Errorf("%s is not what pull writes: %s; pull the day again", path, fault)
	}
	if base := filepath.Base(absolute(dir)); isDay(base) && base != p.saved.Date {
		return nil, fmt.Errorf("%s is about %.20q, in the directory of another day", path, p.saved.Date)
	}
	return p, nil
}

func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

func isDay(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

// Date returns the day, YYYY-MM-DD.
func (p *PulledDay) Date() string { return p.saved.Date }

// Check adds to the report of an archive in the directory what differs from day.json. known is
// false if day.json has no such archive, so that no download mends it.
func (p *PulledDay) Check(r *verify.Report) (known bool) {
	name := filepath.Base(r.Path)
	if m := linkName.FindStringSubmatch(name); len(m) > 1 && isDay(m[1]) {
		p.checkDownload(r, m[1], m[2])
		return true
	}
	for _, l := range p.saved.Links {
		if l.Hour+".zip" != name {
			continue
		}
		named := l.Status == StatusAvailable && l.ManifestSHA256 != nil
		if l.File == nil && !named {
			break
		}
		if l.File == nil || named && r.ManifestSHA256 == *l.ManifestSHA256 && r.ManifestSHA256 != l.File.ManifestSHA256 {
			// The pull was killed before it could save that the file is there.
			l.File = &fileRecord{name, l.Revision, l.SizeBytes, *l.ManifestSHA256}
		}
		if wrongHour(r, p.saved.Date, l.Hour) {
			return true
		}
		if l.Status == StatusNoData {
			r.AddProblem("", "The hour had no recordings any more when the server was last asked: they were erased or corrected. Delete the file, or keep it elsewhere.")
			return false
		}
		if r.Size != l.File.SizeBytes {
			r.AddProblem("", "It has %d bytes; day.json names %d.", r.Size, l.File.SizeBytes)
		}
		if l.File.ManifestSHA256 != "" && r.ManifestSHA256 != l.File.ManifestSHA256 {
			r.AddProblem("", "Its SHA256SUMS is not the one that day.json names.")
		}
		if l.Status == StatusAvailable && l.File.Revision != l.Revision {
			r.AddProblem("", "It is revision %d; day.json names revision %d, which was not downloaded.", l.File.Revision, l.Revision)
		}
		return true
	}
	r.AddProblem("", "day.json knows no such archive: it was not pulled. Keep it elsewhere.")
	return false
}

// checkDownload compares an archive that was downloaded by its link, without Pull, with what
// day.json says of its hour.
func (p *PulledDay) checkDownload(r *verify.Report, day, hour string) {
	if wrongHour(r, day, hour) || day != p.saved.Date {
		return
	}
	for _, l := range p.saved.Links {
		if l.Hour != hour || l.ManifestSHA256 == nil && l.File == nil {
			continue
		}
		if l.ManifestSHA256 != nil && r.ManifestSHA256 == *l.ManifestSHA256 || l.File != nil && r.ManifestSHA256 == l.File.ManifestSHA256 {
			continue
		}
		r.AddProblem("", "Its SHA256SUMS is not the one that day.json names for the hour: it is another revision, or not the server's.")
	}
}

// wrongHour adds a problem if the archive is good, but that of another hour.
func wrongHour(r *verify.Report, day, hour string) bool {
	if !r.OK() || r.UTCDay == day && r.Hour == hour {
		return false
	}
	r.AddProblem("", "It is the archive of %.20q, hour %.20q.", r.UTCDay, r.Hour)
	return true
}

// linkName is the name that the server gives to a download.
var linkName = regexp.MustCompile(`^.+_(\d{4}-\d{2}-\d{2})_([01]\d|2[0-3])\.zip$`)

// AbsentHour is an hour of a pulled day whose archive is not in the directory.
type AbsentHour struct {
	Hour string // "00" to "23"
	Path string // where the archive should be
	Text string // a sentence
}

// Absent lists the hours that have recordings, or may have some, and no archive in the directory.
func (p *PulledDay) Absent() ([]AbsentHour, error) {
	var absent []AbsentHour
	for _, l := range p.saved.Links {
		h := AbsentHour{Hour: l.Hour, Path: filepath.Join(p.dir, l.Hour+".zip"), Text: "The archive was pulled and is gone."}
		info, err := os.Lstat(h.Path)
		switch {
		case err == nil && !info.IsDir():
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("look for the archive: %w", err)
		case l.Status == StatusNoData:
			continue
		case err == nil:
			h.Text = "A directory has the archive's name; remove it."
		case l.File != nil:
		case l.Status == StatusAvailable:
			h.Text = "The archive was not downloaded."
		default:
			h.Text = fmt.Sprintf("The hour was %.20s when the server was last asked.", l.Status)
		}
		absent = append(absent, h)
	}
	return absent, nil
}
