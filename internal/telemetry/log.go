package telemetry

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger writes lines of at least the given level (debug, info, warn, error) to w: JSON for
// machines, aligned text on a terminal. Times are UTC. There are no stack traces, and lines are
// written unbuffered, so nothing has to be flushed at the end.
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

// utcTime prints a line's time in UTC, as every other time of callvault.
func utcTime(layout string) zapcore.TimeEncoder {
	return func(t time.Time, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString(t.UTC().Format(layout)) }
}

// TakeStandardLog turns what libraries say by Go's own logger into lines of log, which they would else
// write between them as they like. It holds for the whole process until it is given back.
func TakeStandardLog(log *zap.Logger) (giveBack func()) {
	giveBack, _ = zap.RedirectStdLogAt(log.Named("library"), zapcore.WarnLevel) // which fails at unknown levels alone
	return giveBack
}
