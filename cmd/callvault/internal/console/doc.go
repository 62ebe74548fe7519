// Package console prints the results of callvault's commands, as tables or JSON, and their
// progress, as bars on a terminal and as lines elsewhere.
package console
