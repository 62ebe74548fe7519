-- +goose Up
-- Former values: what lines replaced or cleared in agents, conversations and messages.

CREATE TABLE history (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- values of one field in the order in which they were replaced
    tenant TEXT COLLATE "C" NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL, -- agent, conversation, message
    id     TEXT COLLATE "C" NOT NULL,
    field  TEXT COLLATE "C" NOT NULL, -- its name in the line
    at_us  BIGINT NOT NULL, -- when it was replaced
    origin TEXT NOT NULL, -- the actor that sent the line which replaced it
    head   BIGINT NOT NULL, -- how many bytes it begins with of the value that came after it
    value  TEXT NOT NULL, -- then these; JSON as it came in, texts as they are, times in microseconds
    tail   BIGINT NOT NULL -- and how many it ends with of the value that came after it
);
CREATE INDEX history_of ON history (tenant, kind, id, seq);

-- +goose Down
DROP TABLE history;
