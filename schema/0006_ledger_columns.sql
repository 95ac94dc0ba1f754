-- Step 6: an entry of a stored version as columns, a third of the size of its line. The line is made of them exactly (docs/format.md), so
-- that what is said of lines, hashes over them for one, holds as before.
ALTER TABLE ledger ADD COLUMN kind INTEGER;    -- as in record
ALTER TABLE ledger ADD COLUMN id BLOB;         -- 16 bytes: Graph's id
ALTER TABLE ledger ADD COLUMN version INTEGER;
ALTER TABLE ledger ADD COLUMN json BLOB;       -- SHA-256 of the assembled document
ALTER TABLE ledger ADD COLUMN parts BLOB;      -- SHA-256 over the envelope lines; not null: `entry` is empty, and the columns are the entry
