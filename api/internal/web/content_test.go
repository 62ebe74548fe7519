package web

import (
	"strings"
	"testing"
)

func TestPlayable(t *testing.T) {
	for stored, want := range map[string]string{
		"audio/webm; codecs=opus": "audio/webm; codecs=opus", "Video/MP4": "Video/MP4", "audio/x-wav": "audio/x-wav", "application/ogg": "application/ogg",
		"": "", "text/html": "", "image/svg+xml": "", "application/xhtml+xml": "", "audio": "", "audio/webm, text/html": "", "multipart/mixed": "", "text/html; audio/x": "",
	} {
		if want == "" {
			want = "application/octet-stream"
		}
		if got := playable(stored); got != want {
			t.Errorf("%q is answered as %q, want %q", stored, got, want)
		}
	}
}

func TestRecordingName(t *testing.T) {
	for text, want := range map[string]string{
		"acme/call-1_a.webm": "call-1_a.webm", "acme/.htaccess": "_htaccess", "..": "_.", "a\"; filename=\"b.exe": "a___filename__b.exe", "ü\r\n": "___",
		strings.Repeat("a", 300): strings.Repeat("a", 200),
	} {
		if got := RecordingName(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
