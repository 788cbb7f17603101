-- name: listen
LISTEN foremend_upkeep

-- Whoever holds the watermark works; a second process waits here, and finds nothing left to do.
-- name: lock
SELECT partition, pos FROM rollup_cursor ORDER BY partition FOR UPDATE

-- name: entries
SELECT l.partition, l.pos, l.batch_id
FROM rollup_cursor c
CROSS JOIN LATERAL (
    SELECT * FROM input_log l
    WHERE l.partition = c.partition AND l.pos > c.pos
    ORDER BY l.pos
    LIMIT %(limit)s
) l
ORDER BY l.partition, l.pos

-- name: months
SELECT DISTINCT date_trunc('month', ts, 'UTC') FROM frame WHERE batch_id = ANY (%(batches)s)

-- name: ensure_room
SELECT ensure_rollup_partitions(%(months)s)

-- Each minute that a batch touched is worked out whole from its frames, so that late, repeated and
-- shuffled readings come to the same. A minute never shrinks: frames are only added, and where fewer are
-- found than are counted already, retention has dropped the rest and the rollup is all that is left.
-- name: put_minutes
WITH touched AS MATERIALIZED (
    SELECT DISTINCT device_id, date_trunc('minute', ts, 'UTC') AS bucket
    FROM frame
    WHERE batch_id = ANY (%(batches)s)
)
INSERT INTO rollup_minute AS r (device_id, bucket, schema_id, frames, phase, n, lo, mean, hi)
SELECT t.device_id, t.bucket, m.*
FROM touched t
CROSS JOIN LATERAL (
    WITH picked AS MATERIALIZED (
        SELECT schema_id, phase, vals
        FROM frame f
        WHERE f.device_id = t.device_id AND f.ts >= t.bucket AND f.ts < t.bucket + interval '1 minute'
    ), channel AS (
        SELECT schema_id, place, count(v)::int4 AS n, min(v) AS lo, max(v) AS hi,
               least(greatest(sum(scaled_down(v)) / nullif(count(v), 0), scaled_down(min(v))), scaled_down(max(v)))
               * 16777216 AS mean
        FROM (SELECT schema_id, place, nullif(v, 'NaN') AS v
              FROM picked, unnest(vals) WITH ORDINALITY AS reading (v, place)) known
        GROUP BY schema_id, place
    ), whole AS (
        SELECT schema_id, count(*)::int4 AS frames, mode() WITHIN GROUP (ORDER BY phase) AS phase
        FROM picked
        GROUP BY schema_id
    )
    SELECT schema_id, w.frames, w.phase,
           coalesce(array_agg(c.n ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.lo ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.mean ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.hi ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}')
    FROM whole w
    LEFT JOIN channel c USING (schema_id)
    GROUP BY schema_id, w.frames, w.phase
) m
ON CONFLICT (device_id, bucket, schema_id) DO UPDATE
SET frames = excluded.frames, phase = excluded.phase, n = excluded.n,
    lo = excluded.lo, mean = excluded.mean, hi = excluded.hi
WHERE excluded.frames >= r.frames

-- name: put_due
INSERT INTO rollup_due (device_id, bucket)
SELECT DISTINCT device_id, date_trunc('hour', ts, 'UTC') FROM frame WHERE batch_id = ANY (%(batches)s)
ON CONFLICT DO NOTHING

-- name: behind
SELECT coalesce(sum(h.pos - c.pos), 0)::int8 FROM rollup_cursor c JOIN partition_head h USING (partition)

-- name: move
UPDATE rollup_cursor c SET pos = w.pos
FROM unnest(%(partitions)s::int2[], %(positions)s::int8[]) AS w (partition, pos)
WHERE c.partition = w.partition

-- name: put_hours
WITH oldest AS (
    SELECT device_id, bucket FROM rollup_due ORDER BY bucket, device_id LIMIT %(limit)s
), due AS (
    DELETE FROM rollup_due d USING oldest o
    WHERE (d.device_id, d.bucket) = (o.device_id, o.bucket)
    RETURNING d.device_id, d.bucket
)
INSERT INTO rollup_hour AS r (device_id, bucket, schema_id, frames, phase, n, lo, mean, hi)
SELECT t.device_id, t.bucket, m.*
FROM due t
CROSS JOIN LATERAL (
    WITH picked AS MATERIALIZED (
        SELECT schema_id, frames, phase, n, lo, mean, hi
        FROM rollup_minute f
        WHERE f.device_id = t.device_id AND f.bucket >= t.bucket AND f.bucket < t.bucket + interval '1 hour'
    ), channel AS (
        SELECT schema_id, place, sum(c)::int4 AS n, min(l) AS lo, max(h) AS hi,
               least(greatest(sum(scaled_down(v) * c) / nullif(sum(c), 0), scaled_down(min(l))), scaled_down(max(h)))
               * 16777216 AS mean
        FROM picked, unnest(n, lo, mean, hi) WITH ORDINALITY AS minute (c, l, v, h, place)
        GROUP BY schema_id, place
    ), whole AS (
        SELECT schema_id, sum(frames)::int4 AS frames, mode() WITHIN GROUP (ORDER BY phase) AS phase
        FROM picked
        GROUP BY schema_id
    )
    SELECT schema_id, w.frames, w.phase,
           coalesce(array_agg(c.n ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.lo ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.mean ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}'),
           coalesce(array_agg(c.hi ORDER BY place) FILTER (WHERE place IS NOT NULL), '{}')
    FROM whole w
    LEFT JOIN channel c USING (schema_id)
    GROUP BY schema_id, w.frames, w.phase
) m
ON CONFLICT (device_id, bucket, schema_id) DO UPDATE
SET frames = excluded.frames, phase = excluded.phase, n = excluded.n,
    lo = excluded.lo, mean = excluded.mean, hi = excluded.hi
WHERE excluded.frames >= r.frames

-- name: due
SELECT EXISTS (SELECT FROM rollup_due)
