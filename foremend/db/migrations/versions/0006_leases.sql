-- Leases of partitions, and what ingest needs to share them; what was set aside, kept whole for a while.

-- Rises whenever a partition passes to another worker. It stands beside the position, so that the statement that
-- takes a position sees it for nothing, and whoever waited for the row sees the newest.
ALTER TABLE partition_head ADD COLUMN fence int8 NOT NULL DEFAULT 0;

-- Who takes in which partitions; a row of its own for each, so that workers renew without waiting for one another.
CREATE TABLE partition_lease (
    partition int2 PRIMARY KEY REFERENCES partition_head,
    holder text NOT NULL DEFAULT '',        -- '' where nobody has it
    fence int8 NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO partition_lease (partition) SELECT generate_series(0, 63);

-- Workers that are there, also those that hold nothing yet; a fair share is counted by these.
CREATE TABLE ingest_worker (
    name text PRIMARY KEY,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The whole message, at most 256 KiB, so that it can be replayed after a fix; emptied by age and by total size.
ALTER TABLE quarantine ADD COLUMN payload bytea;
ALTER TABLE quarantine ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX quarantine_kept ON quarantine (received_at) WHERE payload IS NOT NULL;

-- A device's row is touched every few seconds; room in its page saves its indexes from every one.
ALTER TABLE device SET (fillfactor = 70);
