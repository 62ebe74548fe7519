package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// demoFiles are nine telephone conversations at a bank, spoken by a speech synthesiser.
//
//go:embed demo/script.json demo/clips/*.opus
var demoFiles embed.FS

// demoSample is one day of the sample tenant: the lines and the audio that an ingest takes.
type demoSample struct {
	TenantID   string
	TenantName string
	Lines      []byte            // NDJSON: agents, conversations, messages and recordings
	Late       []byte            // NDJSON: a recording that arrives after the night
	Audio      map[string][]byte // bytes by object key, whole-conversation recordings included
	LateKey    string            // the late recording's object key
	Vanished   string            // an object key that is in Lines and not in Audio
}

type demoScript struct {
	Tenant        struct{ ID, Name string }
	Agents        []json.RawMessage
	Conversations []demoConversation
	Late          demoTurnRef
	Vanished      demoTurnRef
}

type demoTurnRef struct {
	Conversation string
	Turn         int
}

type demoConversation struct {
	Name, Agent, Voice, User, Success, Summary string
	Hour, Minute                               int
	Turns                                      [][2]string // role, text
}

// newDemoSample makes the sample of a day.
func newDemoSample(day domain.Day) (*demoSample, error) {
	raw, err := demoFiles.ReadFile("demo/script.json")
	if err != nil {
		return nil, err
	}
	var s demoScript
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read the sample's script: %w", err)
	}
	m := &demoMaker{script: s, day: day, sample: &demoSample{TenantID: s.Tenant.ID, TenantName: s.Tenant.Name, Audio: map[string][]byte{}}}
	for _, a := range s.Agents {
		m.line(&m.lines, withKind("agent", a))
	}
	for _, c := range s.Conversations {
		if err := m.conversation(c); err != nil {
			return nil, err
		}
	}
	m.sample.Lines, m.sample.Late = m.lines.Bytes(), m.late.Bytes()
	return m.sample, m.err
}

type demoMaker struct {
	script      demoScript
	day         domain.Day
	sample      *demoSample
	lines, late bytes.Buffer
	err         error
}

func (m *demoMaker) line(to *bytes.Buffer, v any) {
	b, err := json.Marshal(v)
	if err != nil && m.err == nil {
		m.err = err
	}
	to.Write(append(b, '\n'))
}

// withKind adds the line's kind as the object's first key.
func withKind(kind string, object json.RawMessage) json.RawMessage {
	return append([]byte(`{"kind":"`+kind+`",`), bytes.TrimSpace(object)[1:]...)
}

// demoTurn is a transcript entry as the platform stores it.
type demoTurn struct {
	Speaker   string `json:"speaker"`
	Text      string `json:"text"`
	Timestamp string `json:"timestamp"`
}

const turnSeconds = 7 // between the starts of two turns

func (m *demoMaker) conversation(c demoConversation) error {
	start := m.day.Start().Add(time.Duration(c.Hour)*time.Hour + time.Duration(c.Minute)*time.Minute)
	id := fmt.Sprintf("%s_%d_%s", c.Agent, start.Unix(), c.Name)
	var whole []byte
	turns := make([]demoTurn, 0, len(c.Turns))
	for i, t := range c.Turns {
		at := start.Add(time.Duration(i*turnSeconds) * time.Second)
		clip, err := demoFiles.ReadFile(fmt.Sprintf("demo/clips/%s_%d_%s.opus", c.Name, i+1, t[0]))
		if err != nil {
			return err
		}
		whole = append(whole, clip...) // an Ogg file may hold several streams, one after the other
		turns = append(turns, demoTurn{t[0], t[1], at.Format(time.RFC3339)})
		m.turn(c, id, i, at, clip)
	}
	raw, err := json.Marshal(turns)
	if err != nil {
		return err
	}
	end := start.Add(time.Duration(len(turns)*turnSeconds) * time.Second)
	key := fmt.Sprintf("%s/recordings/%s/%s.opus", m.script.Tenant.ID, m.day, id)
	m.sample.Audio[key] = whole
	line := map[string]any{
		"kind": "conversation", "conversationId": id, "externalConversationId": c.Name + "-" + m.day.Compact(), "sessionId": "session_" + c.Name,
		"agentId": c.Agent, "sessionType": "telephony", "sessionStatus": "completed", "status": "done", "callSuccessful": c.Success,
		"startTime": start, "endTime": end, "lastActionAt": end, "locale": "en_us", "tags": []string{"sample"}, "metadata": map[string]any{"branch": "harbour"},
		"callDirection": "inbound", "callerPhone": "+12025550123", "calleePhone": "+12025550100", "keyMode": "hybrid",
		"agentModel": "gpt_4o_mini", "agentArchitecture": "pipeline", "baseCost": 0.05, "totalCost": 0.11,
		"transcript":       map[string]any{"raw": string(raw), "createdAt": end},
		"postCallAnalysis": map[string]any{"analysisData": map[string]any{"call_summary": c.Summary}, "analyzedAt": end.Add(time.Minute)},
		"recording":        map[string]any{"id": "rec_" + c.Name, "objectKey": key, "createdAt": end},
	}
	if c.User != "" {
		line["user"] = map[string]any{"id": "user_" + c.Name, "name": c.User}
	}
	m.line(&m.lines, line)
	return nil
}

// turn adds the message and the recording of a turn.
func (m *demoMaker) turn(c demoConversation, id string, i int, at time.Time, clip []byte) {
	role, text := c.Turns[i][0], c.Turns[i][1]
	kind, body, field := "user_audio", "UserInput", "userInput"
	var content any = text
	if role == "agent" {
		kind, body, field = "agent_tts", "BotMessage", "outMsg"
		content = map[string]any{"steps": []any{map[string]any{"text": text}}}
	}
	m.line(&m.lines, map[string]any{"kind": "message", "messageId": fmt.Sprintf("%s_m%d", id, i+1), "conversationId": id,
		"time": at.Unix(), "type": body, field: content})

	key := fmt.Sprintf("%s/conversations/%s/%s/message_%d_%s.opus", m.script.Tenant.ID, m.day, c.Name, i+1, kind)
	to, ref := &m.lines, demoTurnRef{c.Name, i + 1}
	if ref == m.script.Late {
		to, m.sample.LateKey = &m.late, key
	}
	if ref == m.script.Vanished {
		m.sample.Vanished = key
	} else {
		m.sample.Audio[key] = clip
	}
	m.line(to, map[string]any{"kind": "recording", "conversationId": id, "sessionId": "session_" + c.Name, "messageId": i + 1, "type": kind,
		"timestamp": at, "objectKey": key, "sizeBytes": len(clip), "contentType": "audio/ogg", "crc32": fmt.Sprintf("%08x", crc32.ChecksumIEEE(clip))})
}
