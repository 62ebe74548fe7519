-- +goose Up
-- Sessions of the console that were signed out before their end.

CREATE TABLE ended_sessions (
    id       TEXT COLLATE "C" PRIMARY KEY,
    until_us BIGINT NOT NULL -- when the session would have ended: the row goes then
);

-- +goose Down
DROP TABLE ended_sessions;
