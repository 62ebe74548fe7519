-- +goose Up
-- What is counted every few seconds: deliveries that keep failing or were given up, however many arrived.

CREATE INDEX webhook_deliveries_failing ON webhook_deliveries (endpoint) WHERE state = 'pending' AND tries > 2;
CREATE INDEX webhook_deliveries_given_up ON webhook_deliveries (last_us, endpoint) WHERE state = 'failed';

-- +goose Down
DROP INDEX webhook_deliveries_given_up;
DROP INDEX webhook_deliveries_failing;
