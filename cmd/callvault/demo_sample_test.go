package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDemoRecordingsHaveTheirBytesButOne(t *testing.T) {
	s, err := newDemoSample("2026-03-29")
	if err != nil {
		t.Fatal(err)
	}
	hours := map[string]int{}
	lacking := []string{}
	for line := range bytes.Lines(append(bytes.Clone(s.Lines), s.Late...)) {
		var l struct {
			Kind, ObjectKey, Timestamp string
			SizeBytes                  int
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Kind != "recording" {
			continue
		}
		hours[l.Timestamp[:13]]++
		audio, ok := s.Audio[l.ObjectKey]
		if !ok {
			lacking = append(lacking, l.ObjectKey)
		} else if len(audio) != l.SizeBytes || !bytes.HasPrefix(audio, []byte("OggS")) {
			t.Errorf("%s: %d bytes of audio, %d registered", l.ObjectKey, len(audio), l.SizeBytes)
		}
	}
	if len(lacking) != 1 || lacking[0] != s.Vanished {
		t.Errorf("lacking %q, want only %q", lacking, s.Vanished)
	}
	if len(hours) != 7 {
		t.Errorf("recordings in %d hours: %v", len(hours), hours)
	}
	if bytes.Count(s.Late, []byte("\n")) != 1 || !bytes.Contains(s.Late, []byte(s.LateKey)) {
		t.Errorf("late lines: %s", s.Late)
	}
}
