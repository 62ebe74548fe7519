-- +goose NO TRANSACTION
-- +goose Up
-- A catalog without any day has nothing that a wrong clock could end: it begins in trust.

UPDATE clock SET seen_us = (SELECT now_us FROM catalog_clock) WHERE NOT EXISTS (SELECT 1 FROM days);

-- +goose Down
SELECT 1;
