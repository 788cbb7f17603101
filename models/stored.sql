-- A cohort's history as the database holds it, for training; the caller's transaction names the tenant.

-- name: families
SELECT DISTINCT family FROM device WHERE timeline = %(timeline)s AND family <> '' ORDER BY family

-- name: now
SELECT CASE WHEN kind = 'live' THEN now() ELSE now_at END, kind FROM timeline WHERE name = %(timeline)s

-- name: devices
SELECT id, name FROM device WHERE timeline = %(timeline)s AND family = %(family)s ORDER BY name

-- name: schemas
SELECT s.id, s.channels FROM channel_schema s
WHERE s.id IN (SELECT schema_id FROM boot WHERE device_id = ANY (%(devices)s))
ORDER BY s.id

-- name: components
SELECT DISTINCT instance FROM component WHERE device_id = ANY (%(devices)s) ORDER BY instance

-- The commonest error codes; what is beyond them is counted together.
-- name: codes
SELECT code FROM event
WHERE device_id = ANY (%(devices)s) AND severity <> 'info' AND code <> ALL (%(no_faults)s)
  AND ts > %(since)s AND ts <= %(until)s AND (%(wall)s::timestamptz IS NULL OR known_at <= %(wall)s)
GROUP BY code ORDER BY count(*) DESC, code LIMIT %(most)s

-- The last batch that was committed by an instant of the wall.
-- name: last_batch
SELECT max(batch_id) FROM input_log WHERE logged_at <= %(wall)s

-- name: frames
SELECT device_id, (extract(epoch FROM ts) * 1000)::int8, schema_id, phase, vals
FROM frame
WHERE device_id = ANY (%(devices)s) AND ts > %(since)s AND ts <= %(until)s
  AND (%(last_batch)s::int8 IS NULL OR batch_id <= %(last_batch)s)
ORDER BY ts, device_id, boot_id, seq

-- name: recent
SELECT * FROM (
    SELECT device_id, (extract(epoch FROM ts) * 1000)::int8 AS ts_ms, schema_id, phase, vals
    FROM frame
    WHERE device_id = ANY (%(devices)s) AND ts > %(since)s AND ts <= %(until)s
    ORDER BY ts DESC
    LIMIT %(most)s
) last ORDER BY ts_ms

-- name: events
SELECT device_id, (extract(epoch FROM ts) * 1000)::int8, code, component
FROM event
WHERE device_id = ANY (%(devices)s) AND ((severity <> 'info' AND code <> ALL (%(no_faults)s)) OR code = %(part_replaced)s)
  AND ts > %(since)s AND ts <= %(until)s AND (%(wall)s::timestamptz IS NULL OR known_at <= %(wall)s)
ORDER BY ts, device_id, boot_id, seq

-- What each device's first birth told of the ages of its parts, and what was replaced before observation began.
-- name: installs
SELECT d.id, c ->> 'instance', (c ->> 'installed_at_ms')::int8
FROM device d
CROSS JOIN LATERAL (SELECT payload FROM input_log l
                    WHERE l.partition = d.partition AND l.kind = 'birth' AND l.payload ->> 'device_id' = d.id::text
                    ORDER BY l.pos LIMIT 1) birth
CROSS JOIN LATERAL jsonb_array_elements(birth.payload -> 'components') c
WHERE d.id = ANY (%(devices)s) AND c ->> 'installed_at_ms' IS NOT NULL
UNION ALL
SELECT device_id, component, (extract(epoch FROM ts) * 1000)::int8
FROM event
WHERE device_id = ANY (%(devices)s) AND code = %(part_replaced)s AND component IS NOT NULL AND ts <= %(since)s
