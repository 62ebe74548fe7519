// Package telemetry makes the logger that every part is handed.
//
// It holds no global logger and decides nothing about what is worth a line.
package telemetry
