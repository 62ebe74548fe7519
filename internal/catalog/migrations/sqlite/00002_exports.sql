-- +goose Up
-- What the exports are asked for: by agent, user or outcome, in the order of time and id.

ALTER TABLE messages ADD COLUMN agent_id TEXT; -- its conversation's; null while that is not known

-- A message's conversation has a row, be it an empty one: whoever writes either locks that row.
INSERT INTO conversations (tenant, id, created_us, updated_us)
SELECT m.tenant, m.conversation_id, c.now_us, c.now_us
FROM (SELECT DISTINCT tenant, conversation_id FROM messages) m CROSS JOIN catalog_clock c
WHERE NOT EXISTS (SELECT 1 FROM conversations o WHERE o.tenant = m.tenant AND o.id = m.conversation_id);

UPDATE messages SET agent_id =
    (SELECT c.agent_id FROM conversations c WHERE c.tenant = messages.tenant AND c.id = messages.conversation_id);

CREATE INDEX messages_agent ON messages (tenant, agent_id, time_us, id);
CREATE INDEX messages_conversation ON messages (tenant, conversation_id, time_us, id, type); -- type is counted by

CREATE INDEX conversations_start ON conversations (tenant, start_us, id);
CREATE INDEX conversations_agent ON conversations (tenant, agent_id, start_us, id);
CREATE INDEX conversations_user ON conversations (tenant, user_id, start_us, id);
CREATE INDEX conversations_outcome ON conversations (tenant, coalesce(call_successful, 'unknown'), start_us, id);

-- +goose Down
DROP INDEX conversations_outcome;
DROP INDEX conversations_user;
DROP INDEX conversations_agent;
DROP INDEX conversations_start;
DROP INDEX messages_conversation;
DROP INDEX messages_agent;
ALTER TABLE messages DROP COLUMN agent_id;
