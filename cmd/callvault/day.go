package main

import (
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// parseDay parses the UTC day of a flag: YYYY-MM-DD, yesterday or today. Its error is a
// *usageError.
func parseDay(text string, now time.Time) (domain.Day, error) {
	switch text {
	case "today":
		return domain.DayOf(now), nil
	case "yesterday":
		return domain.DayOf(now).Add(-1), nil
	}
	day, err := domain.ParseDay(text)
	if err != nil {
		return "", &usageError{fmt.Sprintf("%q is not a day; use one such as 2025-12-12, yesterday or today, in UTC", text)}
	}
	return day, nil
}
