package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/ingest"
)

// recordingCmd holds the commands about recordings.
type recordingCmd struct {
	Correct recordingCorrectCmd `cmd:"" help:"Correct a recording that was registered wrongly; its hours are rebuilt."`
}

type recordingCorrectCmd struct {
	config.Parts `embed:"" group:"Storage:"`
	Tenant       string  `required:"" help:"The tenant's id."`
	Key          string  `required:"" placeholder:"OBJECTKEY" help:"The recording's object key, as its hour's page names it."`
	Reason       reason  `required:"" help:"Why; the audit log keeps it."`
	Size         *int64  `placeholder:"N" help:"Size of its audio, in bytes."`
	CRC32        *string `name:"crc32" placeholder:"X" help:"CRC-32 of its audio, 8 hex digits."`
	SHA256       *string `name:"sha256" placeholder:"X" help:"SHA-256 of its audio, 64 hex digits."`
	Timestamp    *string `placeholder:"T" help:"When it was recorded, RFC 3339: it moves to that hour."`
	Conversation *string `placeholder:"ID" help:"Its conversation."`
	Session      *string `placeholder:"ID" help:"Its session."`
	MessageID    *int64  `placeholder:"N" help:"Its message's id."`
	Type         *string `placeholder:"T" help:"Its type."`
	JSON         bool    `help:"Print JSON."`
}

func (*recordingCorrectCmd) Help() string {
	return "What is not named stays as it is. The line that registered the recording may come again and changes nothing.\n" +
		"A day that has ended takes no recording: reopen it first (callvault archive --reopen).\n" +
		"Audio that was uploaded by way of callvault is contradicted by --size and --crc32 together only. They remove a\n" +
		"SHA-256 that callvault computed; give --sha256, or the next build computes it again.\n\nExamples:\n\n" +
		"    callvault recording correct --tenant acme --key acme/c-1/a.wav --size 11 --reason 'the line named 5 bytes'\n" +
		"    callvault recording correct --tenant acme --key acme/c-1/a.wav --timestamp 2025-12-12T14:23:45Z --reason 'clock of host 7'\n" +
		"    callvault recording correct --tenant acme --key acme/conf.wav --conversation leg-b --message-id 6 --reason 'named leg-a'"
}

func (c *recordingCorrectCmd) Run(ctx context.Context, d *deps) error {
	body := map[string]any{"objectKey": c.Key, "reason": string(c.Reason)}
	setIfGiven(body, "sizeBytes", c.Size)
	setIfGiven(body, "crc32", c.CRC32)
	setIfGiven(body, "sha256", c.SHA256)
	setIfGiven(body, "timestamp", c.Timestamp)
	setIfGiven(body, "conversationId", c.Conversation)
	setIfGiven(body, "sessionId", c.Session)
	setIfGiven(body, "messageId", c.MessageID)
	setIfGiven(body, "type", c.Type)
	if len(body) == 2 {
		return &usageError{"nothing to correct; name at least one of --size, --crc32, --sha256, --timestamp, --conversation, --session, --message-id, --type"}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	k, err := ingest.ParseCorrection(text)
	if err != nil {
		return err
	}
	k.Tenant, k.Origin = c.Tenant, commandOrigin()
	return d.withCatalog(ctx, c.Parts, func(ctx context.Context, p *app.Parts) error {
		done, err := p.Catalog.Correct(ctx, k)
		if err != nil {
			return err
		}
		return d.show(c.JSON, done, func() string { return correctedText(done) })
	})
}

// setIfGiven adds the value of a flag that was given.
func setIfGiven[T any](to map[string]any, field string, value *T) {
	if value != nil {
		to[field] = *value
	}
}

func correctedText(done catalog.Corrected) string {
	if len(done.Changed) == 0 {
		return done.ObjectKey + " was so before; nothing was changed"
	}
	var changes, hours []string
	for _, field := range slices.Sorted(maps.Keys(done.Changed)) {
		from, to := done.Changed[field].From, done.Changed[field].To
		if from == nil {
			from = "unknown"
		}
		changes = append(changes, fmt.Sprintf("%s: %v is now %v", field, from, to))
	}
	for _, h := range done.Hours {
		hours = append(hours, fmt.Sprintf("%s %s:00", h.Day, h.Hour))
	}
	return fmt.Sprintf("%s corrected; %s\nrebuilt in a few minutes, or with their night if that is still to come: %s", done.ObjectKey, strings.Join(changes, ", "), strings.Join(hours, ", "))
}
