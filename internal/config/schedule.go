package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ParseSchedule reads a cron line of five fields, or @daily, @hourly and the like, in UTC. It
// refuses lines that never fire, such as on the 30th of February, and @every, which counts from the
// start of the process.
func ParseSchedule(line string) (schedule cron.Schedule, err error) {
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "TZ=") || strings.HasPrefix(line, "CRON_TZ="):
		return nil, errors.New("names a time zone, but days are UTC days")
	case strings.HasPrefix(line, "@every"):
		return nil, errors.New("counts from the process's start")
	}
	// cron v3.0.1 panics on some malformed lines instead of returning an error.
	defer func() {
		if r := recover(); r != nil {
			schedule, err = nil, fmt.Errorf("cannot be read: %v", r)
		}
	}()
	parsed, err := cron.ParseStandard(line)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("is not a cron line of five fields")
	}
	spec.Location = time.UTC
	// Next looks five years ahead: from this date on they include a 29th of February.
	if spec.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("never fires")
	}
	return spec, nil
}
