-- +goose NO TRANSACTION
-- +goose Up
-- Exports and lists go by the time as they print it, then by id: conversations by whole seconds, messages by
-- milliseconds. The former indexes stay for programs of before, and for cursors that they began.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS conversations_start_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY conversations_start_printed ON conversations (tenant, (start_us / 1000000), id);
DROP INDEX CONCURRENTLY IF EXISTS conversations_agent_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY conversations_agent_printed ON conversations (tenant, agent_id, (start_us / 1000000), id);
DROP INDEX CONCURRENTLY IF EXISTS conversations_user_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY conversations_user_printed ON conversations (tenant, user_id, (start_us / 1000000), id);
DROP INDEX CONCURRENTLY IF EXISTS conversations_outcome_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY conversations_outcome_printed ON conversations (tenant, coalesce(call_successful, 'unknown'), (start_us / 1000000), id);
DROP INDEX CONCURRENTLY IF EXISTS messages_agent_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY messages_agent_printed ON messages (tenant, agent_id, (time_us / 1000), id);
DROP INDEX CONCURRENTLY IF EXISTS messages_conversation_printed; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY messages_conversation_printed ON messages (tenant, conversation_id, (time_us / 1000), id);
ANALYZE conversations; -- without statistics of what they are made of, whole windows are sorted in their place
ANALYZE messages;

-- +goose Down
DROP INDEX messages_conversation_printed;
DROP INDEX messages_agent_printed;
DROP INDEX conversations_outcome_printed;
DROP INDEX conversations_user_printed;
DROP INDEX conversations_agent_printed;
DROP INDEX conversations_start_printed;
