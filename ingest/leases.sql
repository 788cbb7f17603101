-- Leases of partitions. Times are the database's own, so that no worker's clock matters.

-- name: enrol
INSERT INTO ingest_worker (name, expires_at)
VALUES (%(me)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at

-- name: forget_the_dead
DELETE FROM ingest_worker WHERE expires_at < now() - interval '1 hour'

-- name: workers
SELECT name, (extract(epoch FROM expires_at) * 1000)::int8 FROM ingest_worker

-- name: leases
-- Of a range the first partition speaks for all: they are taken, renewed and given up together.
SELECT partition / %(width)s, holder, fence, (extract(epoch FROM greatest(expires_at, 'epoch')) * 1000)::int8
FROM partition_lease
WHERE partition %% %(width)s = 0

-- name: now
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8

-- name: renew
UPDATE partition_lease SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE holder = %(me)s
RETURNING partition, fence

-- name: take
-- Whoever held it may be in the midst of a commit: the update of the heads waits for its end, and what it
-- commits afterwards meets a fence that has moved.
WITH free AS (
    SELECT partition
    FROM partition_lease
    WHERE partition >= %(first)s AND partition < %(first)s + %(width)s
      AND (holder = '' OR expires_at <= clock_timestamp())
    ORDER BY partition
    FOR UPDATE
), taken AS (
    UPDATE partition_lease l
    SET holder = %(me)s, fence = l.fence + 1, expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
    FROM free
    WHERE l.partition = free.partition
    RETURNING l.partition, l.fence
)
SELECT partition, fence FROM taken ORDER BY partition

-- name: fence_off
WITH locked AS (
    SELECT h.partition, w.fence
    FROM partition_head h
    JOIN unnest(%(partitions)s::int2[], %(fences)s::int8[]) AS w (partition, fence) USING (partition)
    ORDER BY h.partition
    FOR UPDATE OF h
)
UPDATE partition_head h SET fence = locked.fence FROM locked WHERE h.partition = locked.partition

-- name: release
UPDATE partition_lease SET holder = '', expires_at = 'epoch'
WHERE holder = %(me)s AND partition >= %(first)s AND partition < %(first)s + %(width)s

-- name: leave
WITH given AS (
    UPDATE partition_lease SET holder = '', expires_at = 'epoch' WHERE holder = %(me)s
)
DELETE FROM ingest_worker WHERE name = %(me)s
