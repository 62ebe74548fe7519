package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/internal/zipformat"
)

// file is an entry of a ZIP that another program wrote.
type file struct {
	name, data string
	second     int // of its time
	change     func(*headers)
}

// headers are both headers of an entry, as archives have them.
type headers struct{ local, central []byte }

// put sets the 16 bits of a field.
func (h *headers) put(local, central int, value uint16) {
	binary.LittleEndian.PutUint16(h.local[local:], value)
	binary.LittleEndian.PutUint16(h.central[central:], value)
}

// pack writes a ZIP with the headers that archives have. It adds SHA256SUMS unless there is one.
func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var out, directory bytes.Buffer
	var sums strings.Builder
	for _, f := range files {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(f.data)), f.name)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.name == "SHA256SUMS" }) {
		files = append(files, file{name: "SHA256SUMS", data: sums.String()})
	}
	for _, f := range files {
		e := zipformat.Entry{
			File: f.name, Size: int64(len(f.data)), Offset: int64(out.Len()), CRC: crc32.ChecksumIEEE([]byte(f.data)),
			Modified: time.Date(2025, 12, 12, 14, 0, f.second, 0, time.UTC),
		}
		if f.name == "metadata.json" || f.name == "SHA256SUMS" {
			e.Modified = hour.GeneratedAt
		}
		h := &headers{e.AppendLocal(nil), e.AppendCentral(nil)}
		if f.change != nil {
			f.change(h)
		}
		out.Write(h.local)
		out.WriteString(f.data)
		directory.Write(h.central)
	}
	end := zipformat.End{Entries: int64(len(files)), Offset: int64(out.Len()), Size: int64(directory.Len())}
	out.Write(directory.Bytes())
	return end.Append(out.Bytes())
}

const (
	head  = `{"generatedAt":"2025-12-13T02:15:32Z","utcDay":"2025-12-12","hour":"14","totalSessions":1,"sessions":[`
	lineA = `{"fileName":"a","originalPath":"k/a","messageId":1,"type":"user","timestamp":"2025-12-12T14:00:00Z","originalSizeBytes":4}`
	inOne = `{"externalConversationId":"c","sessionId":"s","files":[`
	whole = head + inOne + lineA + `]}]}`
	lineB = `{"fileName":"b","originalPath":"k/b","messageId":2,"type":"user","timestamp":"2025-12-12T14:00:01Z","originalSizeBytes":4}`
	two   = head + inOne + lineA + "," + lineB + `]}]}`
)

func TestProblems(t *testing.T) {
	meta := func(s string) file { return file{name: "metadata.json", data: s} }
	a := file{name: "c/s/a", data: "aaaa"}
	with := func(f file, change func(*headers)) file { f.change = change; return f }
	if r := check(t, pack(t, meta(whole), a)); !r.OK() {
		t.Fatalf("the pattern has problems: %v", r.Problems)
	}
	for want, files := range map[string][]file{
		"encrypted":                          {meta(whole), with(a, func(h *headers) { h.put(6, 8, 1) })},
		"flags 0x0008":                       {meta(whole), with(a, func(h *headers) { h.put(6, 8, 8) })},
		"not stored":                         {meta(whole), with(a, func(h *headers) { h.put(8, 10, 8) })},
		"no regular file":                    {meta(whole), with(a, func(h *headers) { h.put(8, 40, 0o120777) })},
		"comment":                            {meta(whole), with(a, func(h *headers) { h.central[32], h.central = 1, append(h.central, 'x') })},
		"CRC-32":                             {meta(whole), with(a, func(h *headers) { h.put(14, 16, 1) })},
		"from its byte 4 on (version)":       {meta(whole), with(a, func(h *headers) { h.local[4]++ })},
		"from its byte 5 on (versions)":      {meta(whole), with(a, func(h *headers) { h.central[5]++ })},
		"(attributes)":                       {meta(whole), with(a, func(h *headers) { h.central[36]++ })},
		"(name and extra fields)":            {meta(whole), with(a, func(h *headers) { h.local[len(h.local)-1]++ })},
		"another time (2025-12-12T14:00:00Z": {meta(whole), {name: "c/s/a", data: "aaaa", second: 1}},
		"entries were moved":                 {meta(two), {name: "c/s/b", data: "bbbb", second: 1}, a},
		"could leave the folder":             {meta(whole), a, {name: "../c/s", data: ""}},
		"and could leave":                    {meta(whole), a, {name: "/c/s", data: ""}},
		`has one of <>:"\|?*`:                {meta(whole), a, {name: `c/s/C:\x`, data: ""}},
		"Windows reserves":                   {meta(whole), a, {name: "c/s/con.opus", data: ""}},
		"dot or a space":                     {meta(whole), a, {name: "c/s/x.", data: ""}},
		"control characters":                 {meta(whole), a, {name: "c/s/x\x1b", data: ""}},
		"not UTF-8":                          {meta(whole), a, {name: "c/s/\xff", data: ""}},
		"not marked as UTF-8":                {meta(whole), a, with(file{name: "c/s/é"}, func(h *headers) { h.put(6, 8, 0) })},
		"200 bytes":                          {meta(whole), a, {name: "c/s/" + strings.Repeat("x", 201), data: ""}},
		"twice":                              {meta(whole), a, a},
		"only in case":                       {meta(whole), a, {name: "c/S/a", data: ""}},
		"session's folder":                   {meta(whole), a, {name: "stray", data: ""}},
		"clashes with a file":                {meta(whole), a, {name: "METADATA.json/s/a", data: ""}},
		"first entry":                        {a, meta(whole)},
		"last entry":                         {meta(whole), {name: "SHA256SUMS", data: ""}, a},
		"does not list":                      {meta(whole), a, {name: "c/s/b", data: ""}},
		"no metadata.json":                   {a},
		"no line for the entry":              {meta(whole), a, {name: "SHA256SUMS", data: ""}},
		"not in the ZIP":                     {meta(whole)},
		"says 4 bytes, but the file has 5":   {meta(whole), {name: "c/s/a", data: "aaaaa"}},
		"totalSessions is 2":                 {meta(strings.Replace(whole, `ons":1`, `ons":2`, 1)), a},
		"lists the file twice":               {meta(head + inOne + lineA + "," + lineA + `]}]}`), a},
		"not in the archive's hour":          {meta(strings.Replace(whole, "T14:", "T15:", 1)), a},
		"utcDay and hour":                    {meta(strings.Replace(whole, `"14"`, `"24"`, 1)), a},
		"key \"extra\" is unknown":           {meta(strings.Replace(whole, `{"gen`, `{"extra":1,"gen`, 1)), a},
		"unknown field":                      {meta(strings.Replace(whole, `{"file`, `{"extra":1,"file`, 1)), a},
		"lacks a key":                        {meta(strings.Replace(whole, `"messageId":1,`, "", 1)), a},
		"key hour is missing":                {meta(strings.Replace(whole, `"hour":"14",`, "", 1)), a},
		"missingFiles is not the last":       {meta(strings.Replace(whole, `"tot`, `"missingFiles":[],"tot`, 1)), a},
		"the reason \"lost\" is unknown":     {meta(strings.TrimSuffix(whole, "}") + `,"missingFiles":[{"reason":"lost"}]}`), a},
		"something follows":                  {meta(whole + "{}"), a},
		"unexpected":                         {meta(whole[:50]), a},
		"a value is too long":                {meta(strings.Replace(whole, `"user"`, `"`+strings.Repeat("x", 2<<20)+`"`, 1)), a},
		"not a checksum and a name":          {meta(whole), a, {name: "SHA256SUMS", data: "x\n"}},
		"line that is too long":              {meta(whole), a, {name: "SHA256SUMS", data: strings.Repeat("x", 1<<20)}},
		"that is not in the ZIP":             {meta(whole), a, {name: "SHA256SUMS", data: strings.Repeat("0", 64) + "  nowhere\n"}},
		"but SHA256SUMS says 00000000000000": {meta(whole), a, {name: "SHA256SUMS", data: strings.Repeat("0", 64) + "  c/s/a\n"}},
	} {
		r := check(t, pack(t, files...))
		if !slices.ContainsFunc(r.Problems, func(p verify.Problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("no problem says %q: %v", want, r.Problems)
		}
	}
}
