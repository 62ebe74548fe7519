package queue

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// cancelHook ends a client's commands when ctx ends. asynq gives most of its commands no context,
// and closing a client does not end their retries.
type cancelHook struct {
	ctx context.Context // it is what ends the commands
}

func (h cancelHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h cancelHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := h.bind(ctx)
		defer end()
		return next(ctx, cmd)
	}
}

func (h cancelHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := h.bind(ctx)
		defer end()
		return next(ctx, cmds)
	}
}

func (h cancelHook) bind(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(parent)
	unbind := context.AfterFunc(h.ctx, cancel)
	return ctx, func() {
		unbind()
		cancel()
	}
}
