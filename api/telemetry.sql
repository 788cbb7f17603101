-- Reached with a device id that was found inside the tenant's wall, and never otherwise.
-- Counted no further than a chart can be made of frames alone.
-- name: known
SELECT (SELECT count(*) FROM (SELECT FROM frame
                              WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
                              LIMIT %(limit)s) f) AS frames,
       (SELECT max(bucket) FROM rollup_minute WHERE device_id = %(device_id)s) AS minutes_end,
       (SELECT max(bucket) FROM rollup_hour WHERE device_id = %(device_id)s) AS hours_end,
       (SELECT max(until) FROM dropped_section WHERE parent = 'frame') AS frames_from,
       (SELECT max(until) FROM dropped_section WHERE parent = 'rollup_minute') AS minutes_from

-- Hours, then minutes, then frames, summed up alike. Sums are taken of values over 2^24: exact, and no
-- value overflows them.
-- name: frames
WITH rollup AS MATERIALIZED (
    SELECT schema_id, bucket AS since, bucket + interval '1 hour' AS until, frames, phase, n, lo, mean, hi,
           date_bin(%(slot)s, bucket, %(start)s) AS slot
    FROM rollup_hour
    WHERE device_id = %(device_id)s AND bucket >= %(start)s AND bucket < %(hours_to)s
    UNION ALL
    SELECT schema_id, bucket, bucket + interval '1 minute', frames, phase, n, lo, mean, hi,
           date_bin(%(slot)s, bucket, %(start)s)
    FROM rollup_minute
    WHERE device_id = %(device_id)s AND bucket >= %(hours_to)s AND bucket < %(minutes_to)s
), raw AS MATERIALIZED (
    SELECT schema_id, ts, phase, vals, date_bin(%(slot)s, ts, %(start)s) AS slot
    FROM frame
    WHERE device_id = %(device_id)s AND ts >= %(minutes_to)s AND ts < %(end)s
), part AS (
    SELECT schema_id, slot, min(since) AS since, max(until) AS until, sum(frames) AS frames,
           mode() WITHIN GROUP (ORDER BY phase) AS phase
    FROM rollup
    GROUP BY schema_id, slot
    UNION ALL
    SELECT schema_id, slot, min(ts), max(ts), count(*), mode() WITHIN GROUP (ORDER BY phase)
    FROM raw
    GROUP BY schema_id, slot
), whole AS (
    SELECT schema_id, slot, min(since) + (max(until) - min(since)) / 2 AS middle, sum(frames)::int8 AS frames,
           (array_agg(phase ORDER BY frames DESC))[1] AS phase
    FROM part
    GROUP BY schema_id, slot
), reading AS (
    SELECT schema_id, slot, place, c AS n, l AS lo, v / 16777216 * c AS total, h AS hi
    FROM rollup, unnest(n, lo, mean, hi) WITH ORDINALITY AS row (c, l, v, h, place)
    UNION ALL
    SELECT schema_id, slot, place, CASE WHEN v IS NULL THEN 0 ELSE 1 END, v, v / 16777216, v
    FROM raw, unnest(vals) WITH ORDINALITY AS row (v, place)
), channel AS (
    SELECT schema_id, slot, place, min(lo) AS lo, max(hi) AS hi,
           least(greatest(sum(total) / nullif(sum(n), 0), min(lo) / 16777216), max(hi) / 16777216) * 16777216 AS mid
    FROM reading
    GROUP BY schema_id, slot, place
)
SELECT w.schema_id, (extract(epoch FROM w.middle) * 1000)::int8 AS t_ms, w.frames, w.phase,
       coalesce(array_agg(c.lo ORDER BY c.place) FILTER (WHERE c.place IS NOT NULL), '{}') AS lo,
       coalesce(array_agg(c.mid ORDER BY c.place) FILTER (WHERE c.place IS NOT NULL), '{}') AS mid,
       coalesce(array_agg(c.hi ORDER BY c.place) FILTER (WHERE c.place IS NOT NULL), '{}') AS hi
FROM whole w
LEFT JOIN channel c USING (schema_id, slot)
GROUP BY w.schema_id, w.slot, w.middle, w.frames, w.phase
ORDER BY w.middle

-- name: schemas
SELECT id, channels FROM channel_schema WHERE id = ANY (%(ids)s)

-- name: events
SELECT ts, code, severity, component, details
FROM event
WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
  AND code NOT IN ('job_started', 'job_ended')
ORDER BY ts DESC
LIMIT 500

-- An alarm that began before the window still shades it.
-- name: anomalies
SELECT kind, ts, score, top_channel
FROM anomaly
WHERE device_id = %(device_id)s AND ts < %(to)s
  AND ts >= coalesce((SELECT max(ts) FROM anomaly
                      WHERE device_id = %(device_id)s AND kind <> 'drift' AND ts < %(from)s), %(from)s)
ORDER BY ts
LIMIT 1000

-- name: health
SELECT (extract(epoch FROM min(ts) + (max(ts) - min(ts)) / 2) * 1000)::int8 AS t_ms,
       max(score) AS score, bool_or(anomalous) AS anomalous
FROM health
WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
GROUP BY width_bucket(extract(epoch FROM ts)::float8, %(from_s)s, %(to_s)s, %(points)s)
ORDER BY 1

-- name: orders
SELECT number, component, opened_at, state
FROM work_order
WHERE device_id = %(device_id)s AND opened_at >= %(from)s AND opened_at < %(to)s
ORDER BY opened_at
