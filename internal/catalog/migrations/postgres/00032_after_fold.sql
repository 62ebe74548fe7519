-- +goose Up
-- Takes away what the steps before 31 made and the folded schema lacks. A new catalog has none
-- of it.

UPDATE schema_support SET oldest = 32;

-- Exports once went by the microsecond.
DROP INDEX IF EXISTS conversations_start, conversations_agent, conversations_user, conversations_outcome, messages_agent;

-- Turns that a former program had counted were counted again.
DROP INDEX IF EXISTS conversations_uncounted;
ALTER TABLE conversations DROP COLUMN IF EXISTS transcript_counted;

-- Other indexes serve the same queries.
DROP INDEX IF EXISTS days_cut_short, archives_missing;

-- Triggers kept what a former program replaced. Programs keep former values by themselves.
DROP FUNCTION IF EXISTS conversation_replaced, transcript_replaced CASCADE;
