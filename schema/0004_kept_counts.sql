-- Step 4: how much there is of each kind, so that telling it costs the same however much there is. Working: triggers keep it in the
-- transaction of each change, `verify` counts again.
CREATE TABLE kept (
    kind        INTEGER PRIMARY KEY, -- as in record
    records     INTEGER NOT NULL,    -- with a version
    versions    INTEGER NOT NULL,
    raw_bytes   INTEGER NOT NULL,    -- of all bodies
    frame_bytes INTEGER NOT NULL     -- of all frames
) STRICT;
INSERT INTO kept
SELECT kind, count(DISTINCT record_id), count(*), sum(raw_bytes), coalesce(sum(length(frame)), 0)
FROM version JOIN record USING (record_id) GROUP BY kind;
CREATE TRIGGER kept_stored AFTER INSERT ON version BEGIN
    INSERT INTO kept
    SELECT kind, NOT EXISTS (SELECT 1 FROM version WHERE record_id = NEW.record_id AND seq <> NEW.seq), 1, NEW.raw_bytes,
        coalesce(length(NEW.frame), 0)
    FROM record WHERE record_id = NEW.record_id
    ON CONFLICT (kind) DO UPDATE SET records = records + excluded.records, versions = versions + 1,
        raw_bytes = raw_bytes + excluded.raw_bytes, frame_bytes = frame_bytes + excluded.frame_bytes;
END;
CREATE TRIGGER kept_changed AFTER UPDATE OF frame, raw_bytes ON version BEGIN
    UPDATE kept SET raw_bytes = raw_bytes + NEW.raw_bytes - OLD.raw_bytes,
        frame_bytes = frame_bytes + coalesce(length(NEW.frame), 0) - coalesce(length(OLD.frame), 0)
    WHERE kind = (SELECT kind FROM record WHERE record_id = NEW.record_id);
END;
CREATE TRIGGER kept_taken AFTER DELETE ON version BEGIN
    UPDATE kept SET records = records - NOT EXISTS (SELECT 1 FROM version WHERE record_id = OLD.record_id), versions = versions - 1,
        raw_bytes = raw_bytes - OLD.raw_bytes, frame_bytes = frame_bytes - coalesce(length(OLD.frame), 0)
    WHERE kind = (SELECT kind FROM record WHERE record_id = OLD.record_id);
END;
