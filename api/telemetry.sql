-- Reached with a device id that was found inside the tenant's wall, and never otherwise.
-- name: frames
WITH picked AS MATERIALIZED (
    SELECT schema_id, ts, phase, vals,
           width_bucket(extract(epoch FROM ts)::float8, %(from_s)s, %(to_s)s, %(points)s) AS slot
    FROM frame
    WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
), slots AS (
    SELECT schema_id, slot, count(*) AS frames, mode() WITHIN GROUP (ORDER BY phase) AS phase,
           min(ts) + (max(ts) - min(ts)) / 2 AS at
    FROM picked
    GROUP BY schema_id, slot
), channels AS (
    SELECT schema_id, slot, place, min(v) AS lo, avg(v) AS mid, max(v) AS hi
    FROM picked, unnest(vals) WITH ORDINALITY AS reading (v, place)
    GROUP BY schema_id, slot, place
)
SELECT s.schema_id, (extract(epoch FROM s.at) * 1000)::int8 AS t_ms, s.frames, s.phase,
       array_agg(c.lo ORDER BY c.place) AS lo,
       array_agg(c.mid ORDER BY c.place) AS mid,
       array_agg(c.hi ORDER BY c.place) AS hi
FROM slots s
JOIN channels c USING (schema_id, slot)
GROUP BY s.schema_id, s.slot, s.at, s.frames, s.phase
ORDER BY s.at

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
