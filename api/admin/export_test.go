package admin

import "github.com/callvault/callvault/internal/domain"

// ParsePosition is parseFailedPosition, for its fuzz test.
func ParsePosition(text string) (domain.HourKey, error) { return parseFailedPosition(text) }

// ConsolePath is consolePath, for its test.
func ConsolePath(text string) string { return consolePath(text) }
