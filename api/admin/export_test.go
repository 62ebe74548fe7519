package admin

import "github.com/callvault/callvault/internal/domain"

// ParsePosition is parsePosition, for its fuzz test.
func ParsePosition(text string) (domain.HourKey, error) { return parsePosition(text) }

// ConsolePath is consolePath, for its test.
func ConsolePath(text string) string { return consolePath(text) }
