package archiver_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/callvault/callvault/archiver"
)

// memory is a Sink that keeps the ZIP in memory. A Sink for an object store begins a multipart
// upload instead, and uploads each part.
type memory struct {
	zip      []byte
	partSize int64
}

func (m *memory) Begin(_ context.Context, size, partSize int64, _ int) error {
	m.zip, m.partSize = make([]byte, size), partSize
	return nil
}

func (m *memory) Part(_ context.Context, number int, data []byte, _ uint32) error {
	copy(m.zip[int64(number-1)*m.partSize:], data)
	return nil
}

// Build the ZIP of an hour with two recordings, one of which is not in the store any more.
func ExampleBuild() {
	store := map[string][]byte{"acme/calls/greeting.opus": []byte("a greeting")}
	source := func(_ context.Context, e archiver.Entry, from, n int64, _ string) (archiver.Object, error) {
		content, ok := store[e.Key]
		if !ok {
			return archiver.Object{}, archiver.ErrVanished
		}
		body := io.NopCloser(bytes.NewReader(content[from : from+n]))
		return archiver.Object{Body: body, Size: int64(len(content))}, nil
	}
	hour := archiver.Hour{Day: "2025-12-12", Hour: 14, GeneratedAt: time.Date(2025, 12, 13, 2, 0, 0, 0, time.UTC)}
	at := time.Date(2025, 12, 12, 14, 23, 45, 0, time.UTC)
	entries := []archiver.Entry{
		{Key: "acme/calls/greeting.opus", ExternalConversationID: "conv-123", SessionID: "session-456", MessageID: 1,
			Type: "agent_tts", Timestamp: at, Size: 10},
		{Key: "acme/calls/answer.opus", ExternalConversationID: "conv-123", SessionID: "session-456", MessageID: 2,
			Type: "user_audio", Timestamp: at.Add(7 * time.Second), Size: 12},
	}
	sink := &memory{}
	result, err := archiver.Build(context.Background(), archiver.Config{}, hour, entries, source, sink)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("recordings:", result.Files)
	for _, m := range result.Missing {
		fmt.Println("missing:", m.Key, m.Reason)
	}
	r, err := zip.NewReader(bytes.NewReader(sink.zip), result.Size)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.File {
		fmt.Println(f.Name)
	}
	// Output:
	// recordings: 1
	// missing: acme/calls/answer.opus not_found
	// metadata.json
	// conv-123/session-456/greeting.opus
	// SHA256SUMS
}
