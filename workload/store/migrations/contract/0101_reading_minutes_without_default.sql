-- +englog phase=contract oldest=100
-- +goose Up
-- Every live release names the column. One that does not, of a level below 100, cannot insert any more.
ALTER TABLE entries ALTER COLUMN reading_minutes DROP DEFAULT;

-- +goose Down
ALTER TABLE entries ALTER COLUMN reading_minutes SET DEFAULT 0;
