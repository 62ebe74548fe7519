package queue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/callvault/callvault/internal/domain"
)

// TypeHour is the type of a task that builds one hour.
const TypeHour = "archive:hour"

// TypeSweep is the type of a task that asks a worker to sweep now.
const TypeSweep = "control:sweep"

// The queues that workers serve.
const (
	Build   = "build"
	Control = "control"
)

// Task is one dispatch of an hour.
type Task struct {
	Key      domain.HourKey
	Dispatch int64
}

// payload is a task's JSON.
type payload struct {
	Tenant   string     `json:"tenant"`
	Day      domain.Day `json:"day"`
	Hour     int        `json:"hour"`
	Dispatch int64      `json:"dispatch"`
}

// ID is the task's id, unique for each dispatch of each hour. It has no "-" and no "/", because
// the dashboard cuts ids at these.
func (t Task) ID() string {
	return "h:" + escape(t.Key.Tenant) + ":" + t.Key.Day.Compact() + ":" + t.Key.HH() + ":d" + strconv.FormatInt(t.Dispatch, 10)
}

// Attributes names the task in a span.
func (t Task) Attributes() trace.SpanStartEventOption {
	return trace.WithAttributes(
		attribute.String("messaging.system", "asynq"), attribute.String("messaging.destination.name", Build),
		attribute.String("messaging.message.id", t.ID()), attribute.String("callvault.tenant", t.Key.Tenant),
		attribute.String("callvault.day", string(t.Key.Day)), attribute.Int("callvault.hour", t.Key.Hour))
}

// escape writes a tenant id without "-". Two ids never have the same escaped form.
func escape(tenant string) string {
	return strings.NewReplacer("_", "__", "-", "_h").Replace(tenant)
}

func (t Task) encode() ([]byte, error) {
	return json.Marshal(payload{Tenant: t.Key.Tenant, Day: t.Key.Day, Hour: t.Key.Hour, Dispatch: t.Dispatch})
}

// decodeTask reads a payload. Its error is KindInvalid.
func decodeTask(data []byte) (Task, error) {
	var p payload
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&p); err != nil {
		return Task{}, domain.Wrap(domain.KindInvalid, err, "the task's payload is not JSON")
	}
	day, err := domain.ParseDay(string(p.Day))
	if err == nil {
		err = domain.ValidTenantID(p.Tenant)
	}
	if err == nil && (p.Hour < 0 || p.Hour > 23 || p.Dispatch < 1) {
		err = fmt.Errorf("hour %d, dispatch %d", p.Hour, p.Dispatch)
	}
	if err != nil {
		return Task{}, domain.Wrap(domain.KindInvalid, err, "the task's payload names no hour")
	}
	return Task{Key: domain.HourKey{Tenant: p.Tenant, Day: day, Hour: p.Hour}, Dispatch: p.Dispatch}, nil
}
