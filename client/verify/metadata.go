package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/zipformat"
)

// metadata compares metadata.json with the entries while it reads it.
type metadata struct {
	*verifier
	in       *boundedReader
	dec      *json.Decoder
	total    *int64
	sessions []uint64        // hashes of session ids; several conversations may use the same one
	seen     map[string]bool // top-level keys
	last     string          // the latest of these keys
	first    int             // entries before this one are listed
	name     string          // of this entry; "" until it is read
	hour     time.Time

	itself, sums int // numbers of the entries that are no recordings; -1 without one
}

// fileLine is one recording in metadata.json.
type fileLine struct {
	FileName     *string    `json:"fileName"`
	OriginalPath *string    `json:"originalPath"`
	MessageID    *int64     `json:"messageId"`
	Type         *string    `json:"type"`
	Timestamp    *time.Time `json:"timestamp"`
	Size         *int64     `json:"originalSizeBytes"`
}

func (f *fileLine) complete() bool {
	return f.FileName != nil && f.OriginalPath != nil && f.MessageID != nil && f.Type != nil && f.Timestamp != nil && f.Size != nil
}

func (v *verifier) checkMetadata() {
	in := &boundedReader{r: v.src.section(v.metadata.data, v.metadata.size)}
	m := &metadata{verifier: v, in: in, dec: json.NewDecoder(in), sessions: make([]uint64, 0, len(v.index.entries)), seen: map[string]bool{}}
	m.dec.DisallowUnknownFields()
	m.itself, m.sums = v.index.find([]byte(metadataName)), v.index.find([]byte(sumsName))
	for _, i := range []int{m.itself, m.sums} {
		if i >= 0 {
			v.index.entries[i].inMetadata = true // it is no recording
		}
	}
	if err := m.read(); err != nil {
		if v.src.err == nil {
			v.report.AddProblem(metadataName, "The entry is not what it should be near byte %d: %.300s.", m.dec.InputOffset(), err)
		}
		return
	}
	m.finish()
}

// finish checks what is known only at the end.
func (m *metadata) finish() {
	m.report.Sessions = len(m.sessions)
	for _, key := range []string{"generatedAt", "utcDay", "hour", "totalSessions", "sessions"} {
		if !m.seen[key] {
			m.report.AddProblem(metadataName, "The key %s is missing.", key)
		}
	}
	if m.seen["generatedAt"] && m.report.GeneratedAt.IsZero() {
		m.report.AddProblem(metadataName, "generatedAt is no time.")
	}
	if m.seen["missingFiles"] && m.last != "missingFiles" {
		m.report.AddProblem(metadataName, "The key missingFiles is not the last one.")
	}
	// Former versions counted a session id once, even if several conversations used it.
	if m.total != nil && *m.total != int64(len(m.sessions)) {
		slices.Sort(m.sessions)
		if *m.total != int64(len(slices.Compact(m.sessions))) {
			m.report.AddProblem(metadataName, "totalSessions is %d, but there are %d.", *m.total, m.report.Sessions)
		}
	}
	m.finishEntries()
}

// finishEntries checks that metadata.json lists each entry, and the order of the entries: that of
// their times. The two files that are about the others have the time of generatedAt.
func (m *metadata) finishEntries() {
	generated, latest := zipformat.Recorded(m.report.GeneratedAt).Unix(), int64(math.MinInt64)
	for i := range m.index.entries {
		e := &m.index.entries[i]
		switch {
		case i == m.itself || i == m.sums:
			if e.modified != generated {
				m.problemOf(i, "The entry has another time than generatedAt.")
			}
			continue
		case !e.inMetadata:
			m.problemOf(i, "%s does not list the entry.", metadataName)
		case e.modified < latest:
			m.problemOf(i, "The entry stands behind one with a later time: entries were moved.")
		}
		latest = max(latest, e.modified)
	}
}

// read reads the whole document.
func (m *metadata) read() error {
	if err := m.object(m.topLevel); err != nil {
		return err
	}
	m.in.left = maxValue
	if _, err := m.dec.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return nil
}

func (m *metadata) topLevel(key string) error {
	if m.seen[key] {
		return fmt.Errorf("the key %.50q stands there twice", key)
	}
	m.seen[key], m.last = true, key
	switch key {
	case "generatedAt":
		return m.value(&m.report.GeneratedAt)
	case "utcDay":
		return m.day(&m.report.UTCDay)
	case "hour":
		return m.day(&m.report.Hour)
	case "totalSessions":
		return m.value(&m.total)
	case "sessions":
		return m.array(m.session)
	case "missingFiles":
		return m.array(m.missing)
	}
	return fmt.Errorf("the key %.50q is unknown", key)
}

// day reads utcDay or hour into into, and parses both once both are known.
func (m *metadata) day(into *string) error {
	if err := m.value(into); err != nil {
		return err
	}
	if m.report.UTCDay == "" || m.report.Hour == "" {
		return nil
	}
	var err error
	m.hour, err = time.Parse("2006-01-02 15", m.report.UTCDay+" "+m.report.Hour)
	if err != nil {
		return errors.New("utcDay and hour are no hour")
	}
	return nil
}

// session reads one session with its files.
func (m *metadata) session() error {
	if len(m.sessions) == len(m.index.entries) {
		return errors.New("there are more sessions than files")
	}
	var conversation, session *string
	folder := ""
	file := func() error {
		if conversation == nil || session == nil {
			return errors.New("files come before the ids of their session")
		}
		var f fileLine
		if err := m.value(&f); err != nil {
			return err
		}
		if !f.complete() {
			return errors.New("a file lacks a key")
		}
		if folder == "" {
			folder = m.folderOf(*conversation, *session, *f.FileName)
		}
		m.file(folder+*f.FileName, &f)
		return nil
	}
	err := m.object(func(key string) error {
		switch key {
		case "externalConversationId":
			return m.value(&conversation)
		case "sessionId":
			return m.value(&session)
		case "files":
			return m.array(file)
		}
		return fmt.Errorf("the key %.50q is unknown in a session", key)
	})
	if err != nil {
		return err
	}
	if session == nil || conversation == nil || folder == "" {
		return errors.New("a session lacks an id or files")
	}
	m.sessions = append(m.sessions, maphash.String(m.index.seed, *session))
	return nil
}

// folderOf returns the folder of the next session, with a slash at its end. Sessions are in the
// order of their first entries, so it is the folder of the first entry that is not listed yet. If
// that is not so, something is missing: then it is the folder that is named after the ids.
func (m *metadata) folderOf(conversation, session, fileName string) string {
	for ; m.first < len(m.index.entries); m.first++ {
		if !m.index.entries[m.first].inMetadata {
			break
		}
		m.name = ""
	}
	if m.name == "" && m.first < len(m.index.entries) {
		m.name = string(m.header(m.first).name)
	}
	if folder, ok := strings.CutSuffix(m.name, fileName); ok && strings.HasSuffix(folder, "/") {
		return folder
	}
	return conversation + "/" + session + "/"
}

// file compares one line with the entry of this name.
func (m *metadata) file(name string, f *fileLine) {
	if !m.hour.IsZero() && !f.Timestamp.UTC().Truncate(time.Hour).Equal(m.hour) {
		m.report.AddProblem(name, "%s gives it the time %s, which is not in the archive's hour.", metadataName, f.Timestamp.UTC().Format(time.RFC3339))
	}
	i := m.index.find([]byte(name))
	if i < 0 {
		m.report.AddProblem(name, "%s lists a file that is not in the ZIP.", metadataName)
		return
	}
	e := &m.index.entries[i]
	switch {
	case e.inMetadata:
		m.report.AddProblem(name, "%s lists the file twice.", metadataName)
	case e.size != *f.Size:
		m.report.AddProblem(name, "%s says %d bytes, but the file has %d.", metadataName, *f.Size, e.size)
	case e.modified != zipformat.Recorded(*f.Timestamp).Unix():
		m.report.AddProblem(name, "%s gives it another time (%s) than its headers.", metadataName, f.Timestamp.UTC().Format(time.RFC3339))
	}
	e.inMetadata = true
}

// missing reads one recording that could not be archived.
func (m *metadata) missing() error {
	var f MissingFile
	if err := m.value(&f); err != nil {
		return err
	}
	switch f.Reason {
	case "not_found", "size_changed", "checksum_mismatch", "unreadable":
	default:
		return fmt.Errorf("the reason %.50q is unknown", f.Reason)
	}
	m.report.MissingCount++
	if len(m.report.Missing) < maxProblems {
		f.OriginalPath = shorten(f.OriginalPath)
		m.report.Missing = append(m.report.Missing, f)
	}
	return nil
}
