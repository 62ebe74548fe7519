package telemetry

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger writes lines of at least the given level (debug, info, warn, error) to w: JSON, or
// aligned text on a terminal. Times are UTC. There are no stack traces. Lines are written
// unbuffered, so that no flush is needed at the end.
func NewLogger(level string, w io.Writer, isTerminal bool) (*zap.Logger, error) {
	least, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("level of the log: %w", err)
	}
	core := zapcore.NewCore(encoder(isTerminal), zapcore.Lock(zapcore.AddSync(w)), least)
	return zap.New(core, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(w)))), nil
}

func encoder(isTerminal bool) zapcore.Encoder {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.MessageKey = "time", "message"
	c.EncodeDuration = zapcore.StringDurationEncoder
	if !isTerminal {
		c.EncodeTime = utcTime("2006-01-02T15:04:05.000Z")
		return zapcore.NewJSONEncoder(c)
	}
	c.EncodeTime = utcTime("15:04:05")
	c.EncodeLevel = zapcore.CapitalColorLevelEncoder
	c.ConsoleSeparator = "  "
	return zapcore.NewConsoleEncoder(c)
}

// utcTime prints a line's time in UTC.
func utcTime(layout string) zapcore.TimeEncoder {
	return func(t time.Time, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString(t.UTC().Format(layout)) }
}

// TakeStandardLog redirects Go's standard logger, which libraries write to, into log. It does so
// for the whole process until restore is called.
func TakeStandardLog(log *zap.Logger) (restore func()) {
	restore, _ = zap.RedirectStdLogAt(log.Named("library"), zapcore.WarnLevel) // fails only for unknown levels
	return restore
}
