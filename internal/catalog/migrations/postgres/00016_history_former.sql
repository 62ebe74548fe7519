-- +goose Up
-- A program of the version before takes a line for the whole truth: what it replaces while replicas of both
-- versions run is kept too. It is known by its hash of 32 bytes; this version's have one more.

-- +goose StatementBegin
CREATE FUNCTION conversation_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
    SELECT OLD.tenant, 'conversation', OLD.id, v.field, c.now_us, 'former version', 0, v.before, 0 FROM catalog_clock c, (VALUES
        ('externalConversationId', OLD.external_id, NEW.external_id),
        ('sessionId', OLD.session_id, NEW.session_id),
        ('agentId', OLD.agent_id, NEW.agent_id),
        ('status', OLD.status, NEW.status),
        ('callSuccessful', OLD.call_successful, NEW.call_successful),
        ('startTime', CAST(OLD.start_us AS TEXT), CAST(NEW.start_us AS TEXT)),
        ('endTime', CAST(OLD.end_us AS TEXT), CAST(NEW.end_us AS TEXT)),
        ('lastActionAt', CAST(OLD.last_action_us AS TEXT), CAST(NEW.last_action_us AS TEXT)),
        ('sessionType', OLD.session_type, NEW.session_type),
        ('sessionStatus', OLD.session_status, NEW.session_status),
        ('locale', OLD.locale, NEW.locale),
        ('tags', OLD.tags, NEW.tags),
        ('metadata', OLD.metadata, NEW.metadata),
        ('callDirection', OLD.call_direction, NEW.call_direction),
        ('callerPhone', OLD.caller_phone, NEW.caller_phone),
        ('calleePhone', OLD.callee_phone, NEW.callee_phone),
        ('keyMode', OLD.key_mode, NEW.key_mode),
        ('agentModel', OLD.agent_model, NEW.agent_model),
        ('agentArchitecture', OLD.agent_architecture, NEW.agent_architecture),
        ('baseCost', OLD.base_cost, NEW.base_cost),
        ('totalCost', OLD.total_cost, NEW.total_cost),
        ('user', OLD.user_body, NEW.user_body),
        ('transcript.createdAt', CAST(OLD.transcript_created_us AS TEXT), CAST(NEW.transcript_created_us AS TEXT)),
        ('postCallAnalysis.analysisData', OLD.analysis, NEW.analysis),
        ('postCallAnalysis.analyzedAt', CAST(OLD.analyzed_us AS TEXT), CAST(NEW.analyzed_us AS TEXT)),
        ('recording.id', OLD.recording_id, NEW.recording_id),
        ('recording.objectKey', OLD.recording_key, NEW.recording_key),
        ('recording.createdAt', CAST(OLD.recording_created_us AS TEXT), CAST(NEW.recording_created_us AS TEXT))
    ) v (field, before, after) WHERE v.before IS NOT NULL AND v.before IS DISTINCT FROM v.after;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER conversation_replaced AFTER UPDATE ON conversations FOR EACH ROW
    WHEN (octet_length(NEW.line_hash) = 32 AND NEW.line_hash IS DISTINCT FROM OLD.line_hash) EXECUTE FUNCTION conversation_replaced();

-- Programs write the conversation before its transcript.
-- +goose StatementBegin
CREATE FUNCTION transcript_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (tenant, kind, id, field, at_us, origin, head, value, tail)
    SELECT OLD.tenant, 'conversation', OLD.conversation_id, 'transcript.raw', k.now_us, 'former version', 0, OLD.raw, 0
    FROM catalog_clock k, conversations c WHERE c.tenant = OLD.tenant AND c.id = OLD.conversation_id AND octet_length(c.line_hash) = 32;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER transcript_replaced AFTER UPDATE OR DELETE ON transcripts FOR EACH ROW EXECUTE FUNCTION transcript_replaced();

-- +goose Down
DROP TRIGGER transcript_replaced ON transcripts;
DROP FUNCTION transcript_replaced;
DROP TRIGGER conversation_replaced ON conversations;
DROP FUNCTION conversation_replaced;
