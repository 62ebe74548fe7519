// Package console is how callvault's commands talk to people and scripts: tables, JSON, and
// progress as bars on a terminal or as plain lines elsewhere.
package console
