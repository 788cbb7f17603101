-- Asked in one REPEATABLE READ transaction: frames, rollups, receipts and watermarks of one instant.
-- name: devices
SELECT id, tenant, timeline, name FROM device
WHERE (%(device)s::text IS NULL OR name = %(device)s)
ORDER BY id

-- name: dropped
SELECT DISTINCT parent, since, until FROM dropped_section

-- What stands in the log beyond the watermark is not rolled up yet, and no difference.
-- name: pending
SELECT DISTINCT date_trunc('minute', f.ts, 'UTC')
FROM rollup_cursor c
JOIN input_log l ON l.partition = c.partition AND l.pos > c.pos
JOIN frame f ON f.batch_id = l.batch_id
WHERE f.device_id = %(device)s

-- name: due
SELECT bucket FROM rollup_due WHERE device_id = %(device)s

-- name: span
SELECT least(f.first, m.first), greatest(f.last, m.last)
FROM (SELECT min(ts) AS first, max(ts) AS last FROM frame
      WHERE device_id = %(device)s AND ts >= %(since)s AND ts < %(until)s) f,
     (SELECT min(bucket) AS first, max(bucket) AS last FROM rollup_minute
      WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s) m

-- name: hour_span
SELECT least(m.first, h.first), greatest(m.last, h.last)
FROM (SELECT min(bucket) AS first, max(bucket) AS last FROM rollup_minute
      WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s) m,
     (SELECT min(bucket) AS first, max(bucket) AS last FROM rollup_hour
      WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s) h

-- Worked out another way than the rollups were: in one sweep over all of the frames.
-- name: minutes
WITH fresh_reading AS (
    SELECT date_trunc('minute', ts, 'UTC') AS bucket, schema_id, place,
           count(v)::int4 AS n, min(v) AS lo, sum(scaled_down(v)) / nullif(count(v), 0) * 16777216 AS mean, max(v) AS hi
    FROM (SELECT ts, schema_id, place, nullif(v, 'NaN') AS v
          FROM frame, unnest(vals) WITH ORDINALITY AS reading (v, place)
          WHERE device_id = %(device)s AND ts >= %(since)s AND ts < %(until)s) known
    GROUP BY 1, 2, 3
), fresh_channels AS (
    SELECT bucket, schema_id, array_agg(n ORDER BY place) AS n, array_agg(lo ORDER BY place) AS lo,
           array_agg(mean ORDER BY place) AS mean, array_agg(hi ORDER BY place) AS hi
    FROM fresh_reading
    GROUP BY bucket, schema_id
), fresh_frames AS (
    SELECT date_trunc('minute', ts, 'UTC') AS bucket, schema_id, count(*)::int4 AS frames
    FROM frame
    WHERE device_id = %(device)s AND ts >= %(since)s AND ts < %(until)s
    GROUP BY 1, 2
), fresh AS (
    SELECT bucket, schema_id, f.frames, coalesce(c.n, '{}') AS n, coalesce(c.lo, '{}') AS lo,
           coalesce(c.mean, '{}') AS mean, coalesce(c.hi, '{}') AS hi
    FROM fresh_frames f
    LEFT JOIN fresh_channels c USING (bucket, schema_id)
), kept AS (
    SELECT bucket, schema_id, frames, n, lo, mean, hi
    FROM rollup_minute
    WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s
), compared AS (
    SELECT bucket, schema_id, f.frames AS told, k.frames,
           CASE WHEN k.frames IS NULL THEN 'missing'
                WHEN f.frames IS NULL THEN 'without_frames'
                WHEN f.frames <> k.frames THEN 'frames'
                WHEN f.n <> k.n THEN 'n'
                WHEN f.lo IS DISTINCT FROM k.lo THEN 'lo'
                WHEN f.hi IS DISTINCT FROM k.hi THEN 'hi'
                WHEN EXISTS (SELECT FROM unnest(f.mean, k.mean, f.lo, f.hi) AS m (a, b, lo, hi)
                             WHERE (a IS NULL) <> (b IS NULL)
                                OR abs(a / 2 - b / 2) > %(tolerance)s * greatest(abs(lo), abs(hi))) THEN 'mean'
           END AS wrong
    FROM fresh f
    FULL JOIN kept k USING (bucket, schema_id)
)
SELECT bucket, schema_id, wrong, told, frames, count(*) OVER () AS compared
FROM compared
ORDER BY wrong IS NULL, bucket
LIMIT %(limit)s

-- name: hours
WITH fresh_reading AS (
    SELECT date_trunc('hour', bucket, 'UTC') AS bucket, schema_id, place, sum(c)::int4 AS n, min(l) AS lo,
           sum(scaled_down(v) * c) / nullif(sum(c), 0) * 16777216 AS mean, max(h) AS hi
    FROM rollup_minute, unnest(n, lo, mean, hi) WITH ORDINALITY AS minute (c, l, v, h, place)
    WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s
    GROUP BY 1, 2, 3
), fresh_channels AS (
    SELECT bucket, schema_id, array_agg(n ORDER BY place) AS n, array_agg(lo ORDER BY place) AS lo,
           array_agg(mean ORDER BY place) AS mean, array_agg(hi ORDER BY place) AS hi
    FROM fresh_reading
    GROUP BY bucket, schema_id
), fresh_frames AS (
    SELECT date_trunc('hour', bucket, 'UTC') AS bucket, schema_id, sum(frames)::int4 AS frames
    FROM rollup_minute
    WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s
    GROUP BY 1, 2
), fresh AS (
    SELECT bucket, schema_id, f.frames, coalesce(c.n, '{}') AS n, coalesce(c.lo, '{}') AS lo,
           coalesce(c.mean, '{}') AS mean, coalesce(c.hi, '{}') AS hi
    FROM fresh_frames f
    LEFT JOIN fresh_channels c USING (bucket, schema_id)
), kept AS (
    SELECT bucket, schema_id, frames, n, lo, mean, hi
    FROM rollup_hour
    WHERE device_id = %(device)s AND bucket >= %(since)s AND bucket < %(until)s
), compared AS (
    SELECT bucket, schema_id, f.frames AS told, k.frames,
           CASE WHEN k.frames IS NULL THEN 'missing'
                WHEN f.frames IS NULL THEN 'without_minutes'
                WHEN f.frames <> k.frames THEN 'frames'
                WHEN f.n <> k.n THEN 'n'
                WHEN f.lo IS DISTINCT FROM k.lo THEN 'lo'
                WHEN f.hi IS DISTINCT FROM k.hi THEN 'hi'
                WHEN EXISTS (SELECT FROM unnest(f.mean, k.mean, f.lo, f.hi) AS m (a, b, lo, hi)
                             WHERE (a IS NULL) <> (b IS NULL)
                                OR abs(a / 2 - b / 2) > %(tolerance)s * greatest(abs(lo), abs(hi))) THEN 'mean'
           END AS wrong
    FROM fresh f
    FULL JOIN kept k USING (bucket, schema_id)
)
SELECT bucket, schema_id, wrong, told, frames, count(*) OVER () AS compared
FROM compared
ORDER BY wrong IS NULL, bucket
LIMIT %(limit)s

-- A message is stored by one batch, so its readings stand once however they were sent.
-- name: repeated
SELECT boot_id, seq, count(DISTINCT batch_id), count(*) - count(DISTINCT ts)
FROM frame
WHERE device_id = %(device)s AND ts >= %(since)s AND ts < %(until)s
GROUP BY boot_id, seq
HAVING count(DISTINCT batch_id) > 1 OR count(*) > count(DISTINCT ts)
ORDER BY boot_id, seq
LIMIT %(limit)s

-- Per boot: what was acknowledged and stands nowhere, and what stands without ever being acknowledged.
-- name: receipts
WITH stored AS (
    SELECT boot_id, range_agg(int8range(seq, seq + 1)) AS seqs
    FROM (SELECT boot_id, seq FROM frame WHERE device_id = %(device)s
          UNION
          SELECT boot_id, seq FROM event WHERE device_id = %(device)s
          UNION
          SELECT boot_id, seq FROM command_result WHERE device_id = %(device)s) numbered
    GROUP BY boot_id
), given_up AS (
    SELECT boot_id, range_agg(lost) AS seqs FROM gap WHERE device_id = %(device)s GROUP BY boot_id
), settled AS (
    SELECT boot_id, got FROM receipt WHERE device_id = %(device)s
)
SELECT b.id, b.name, b.booted_at,
       coalesce(r.got, '{}') - coalesce(s.seqs, '{}') - coalesce(g.seqs, '{}') AS nowhere,
       coalesce(s.seqs, '{}') - coalesce(r.got, '{}') AS unreceipted,
       (SELECT coalesce(sum(upper(x) - lower(x)), 0) FROM unnest(r.got) AS x) AS settled,
       (SELECT min(seq) FROM frame f WHERE f.device_id = %(device)s AND f.boot_id = b.id
           AND f.ts >= %(dropped_until)s::timestamptz) AS first_kept
FROM boot b
LEFT JOIN stored s ON s.boot_id = b.id
LEFT JOIN given_up g ON g.boot_id = b.id
LEFT JOIN settled r ON r.boot_id = b.id
WHERE b.device_id = %(device)s
ORDER BY b.id

-- name: log
SELECT h.partition, h.pos AS head, count(l.pos) AS entries, min(l.pos), max(l.pos)
FROM partition_head h
LEFT JOIN input_log l USING (partition)
GROUP BY h.partition, h.pos
ORDER BY h.partition
