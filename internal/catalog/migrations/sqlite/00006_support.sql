-- +goose Up
-- Which programs may work with this schema. A step that takes something away, or means something else
-- by it, sets oldest to the newest step that a program must know: older ones then refuse to start.

CREATE TABLE schema_support (
    one    INT PRIMARY KEY CHECK (one = 1),
    oldest BIGINT NOT NULL
);
INSERT INTO schema_support (one, oldest) VALUES (1, 0);

-- +goose Down
DROP TABLE schema_support;
