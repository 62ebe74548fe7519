package admin

import "github.com/callvault/callvault/internal/domain"

// ParsePosition is parsePosition, for its fuzz test.
func ParsePosition(text string) (domain.HourKey, error) { return parsePosition(text) }

// OwnPath is ownPath, for its test.
func OwnPath(text string) string { return ownPath(text) }
