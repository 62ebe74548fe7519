-- +goose Up
-- A program of the version before takes a line for the whole truth: what it replaces while replicas of both
-- versions run is kept too. It is known by its hash of 32 bytes; this version's have one more.

-- +goose StatementBegin
CREATE TRIGGER conversation_replaced AFTER UPDATE ON conversations
WHEN length(NEW.line_hash) = 32 AND NEW.line_hash IS NOT OLD.line_hash
BEGIN
    INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
    SELECT OLD.tenant, 'conversation', OLD.id, v.field, c.now_us, 'former version', 0, v.before, 0 FROM catalog_clock c, (
        SELECT 'externalConversationId' AS field, OLD.external_id AS before, NEW.external_id AS after UNION ALL
        SELECT 'sessionId', OLD.session_id, NEW.session_id UNION ALL
        SELECT 'agentId', OLD.agent_id, NEW.agent_id UNION ALL
        SELECT 'status', OLD.status, NEW.status UNION ALL
        SELECT 'callSuccessful', OLD.call_successful, NEW.call_successful UNION ALL
        SELECT 'startTime', OLD.start_us, NEW.start_us UNION ALL
        SELECT 'endTime', OLD.end_us, NEW.end_us UNION ALL
        SELECT 'lastActionAt', OLD.last_action_us, NEW.last_action_us UNION ALL
        SELECT 'sessionType', OLD.session_type, NEW.session_type UNION ALL
        SELECT 'sessionStatus', OLD.session_status, NEW.session_status UNION ALL
        SELECT 'locale', OLD.locale, NEW.locale UNION ALL
        SELECT 'tags', OLD.tags, NEW.tags UNION ALL
        SELECT 'metadata', OLD.metadata, NEW.metadata UNION ALL
        SELECT 'callDirection', OLD.call_direction, NEW.call_direction UNION ALL
        SELECT 'callerPhone', OLD.caller_phone, NEW.caller_phone UNION ALL
        SELECT 'calleePhone', OLD.callee_phone, NEW.callee_phone UNION ALL
        SELECT 'keyMode', OLD.key_mode, NEW.key_mode UNION ALL
        SELECT 'agentModel', OLD.agent_model, NEW.agent_model UNION ALL
        SELECT 'agentArchitecture', OLD.agent_architecture, NEW.agent_architecture UNION ALL
        SELECT 'baseCost', OLD.base_cost, NEW.base_cost UNION ALL
        SELECT 'totalCost', OLD.total_cost, NEW.total_cost UNION ALL
        SELECT 'user', OLD.user_body, NEW.user_body UNION ALL
        SELECT 'transcript.createdAt', OLD.transcript_created_us, NEW.transcript_created_us UNION ALL
        SELECT 'postCallAnalysis.analysisData', OLD.analysis, NEW.analysis UNION ALL
        SELECT 'postCallAnalysis.analyzedAt', OLD.analyzed_us, NEW.analyzed_us UNION ALL
        SELECT 'recording.id', OLD.recording_id, NEW.recording_id UNION ALL
        SELECT 'recording.objectKey', OLD.recording_key, NEW.recording_key UNION ALL
        SELECT 'recording.createdAt', OLD.recording_created_us, NEW.recording_created_us
    ) v WHERE v.before IS NOT NULL AND v.before IS NOT v.after;
END;
-- +goose StatementEnd

-- Programs write the conversation before its transcript.
-- +goose StatementBegin
CREATE TRIGGER transcript_updated AFTER UPDATE ON transcripts
BEGIN
    INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
    SELECT OLD.tenant, 'conversation', OLD.conversation_id, 'transcript.raw', k.now_us, 'former version', 0, OLD.raw, 0
    FROM catalog_clock k, conversations c WHERE c.tenant = OLD.tenant AND c.id = OLD.conversation_id AND length(c.line_hash) = 32;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER transcript_deleted AFTER DELETE ON transcripts
BEGIN
    INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
    SELECT OLD.tenant, 'conversation', OLD.conversation_id, 'transcript.raw', k.now_us, 'former version', 0, OLD.raw, 0
    FROM catalog_clock k, conversations c WHERE c.tenant = OLD.tenant AND c.id = OLD.conversation_id AND length(c.line_hash) = 32;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER transcript_deleted;
DROP TRIGGER transcript_updated;
DROP TRIGGER conversation_replaced;
