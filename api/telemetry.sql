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

-- Arrays go out as PostgreSQL's own bytes, unknown values as NaN: a fifth of what lists of numbers take.
-- name: rollups
SELECT schema_id, (extract(epoch FROM bucket) * 1000)::int8 AS since_ms, width AS width_ms, frames, phase,
       array_send(n) AS n, array_send(array_replace(lo, NULL, 'NaN')) AS lo,
       array_send(array_replace(mean, NULL, 'NaN')) AS mean, array_send(array_replace(hi, NULL, 'NaN')) AS hi
FROM (SELECT *, 3600000 AS width
      FROM rollup_hour
      WHERE device_id = %(device_id)s AND bucket >= %(start)s AND bucket < %(hours_to)s
      UNION ALL
      SELECT *, 60000
      FROM rollup_minute
      WHERE device_id = %(device_id)s AND bucket >= %(hours_to)s AND bucket < %(minutes_to)s) r

-- name: frames
SELECT schema_id, (extract(epoch FROM ts) * 1000)::int8 AS t_ms, phase,
       array_send(array_replace(vals, NULL, 'NaN')) AS vals
FROM frame
WHERE device_id = %(device_id)s AND ts >= %(minutes_to)s AND ts < %(end)s

-- name: schemas
SELECT id, channels FROM channel_schema WHERE id = ANY (%(ids)s)

-- name: events
SELECT ts, code, severity, component, details
FROM event
WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
  AND code NOT IN ('job_started', 'job_ended')
ORDER BY ts DESC
LIMIT 500

-- name: newest_events
SELECT ts, code, severity, component, details
FROM event
WHERE device_id = %(device_id)s AND ts >= %(from)s AND ts < %(to)s
ORDER BY ts DESC
LIMIT %(limit)s

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
