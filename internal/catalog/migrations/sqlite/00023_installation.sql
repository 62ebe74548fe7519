-- +goose Up
-- Which installation this catalog is of: the object {prefix}/installation of the archives bucket
-- names it, so that no other one takes the same keys.

CREATE TABLE installation (
  one INT  PRIMARY KEY CHECK (one = 1), -- there is one row at most
  id  TEXT NOT NULL
);

-- +goose Down
DROP TABLE installation;
