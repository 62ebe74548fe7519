-- +goose Up
-- Takes away what the steps before 31 made and the folded schema lacks. A new catalog has none
-- of it.
-- The column conversations.transcript_counted stays where it is, unused: SQLite can't drop a column
-- only where it exists.

UPDATE schema_support SET oldest = 32;

-- Exports once went by the microsecond.
DROP INDEX IF EXISTS conversations_start;
DROP INDEX IF EXISTS conversations_agent;
DROP INDEX IF EXISTS conversations_user;
DROP INDEX IF EXISTS conversations_outcome;
DROP INDEX IF EXISTS messages_agent;

-- Turns that a former program had counted were counted again.
DROP INDEX IF EXISTS conversations_uncounted;

-- Other indexes serve the same queries.
DROP INDEX IF EXISTS days_cut_short;
DROP INDEX IF EXISTS archives_missing;

-- Triggers kept what a former program replaced. Programs keep former values by themselves.
DROP TRIGGER IF EXISTS conversation_replaced;
DROP TRIGGER IF EXISTS transcript_updated;
DROP TRIGGER IF EXISTS transcript_deleted;
