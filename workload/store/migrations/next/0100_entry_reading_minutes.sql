-- +englog phase=expand
-- +goose Up
-- A constant default needs no rewrite of the table: older releases go on inserting without naming the column.
ALTER TABLE entries ADD COLUMN reading_minutes integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE entries DROP COLUMN reading_minutes;
