-- Reached with a device id that was found inside the tenant's wall, and never otherwise.
-- What is rolled up tells its schemas cheaply; what is newer is asked itself.
-- name: schemas
WITH rolled AS (
    SELECT coalesce(max(bucket), '-infinity') AS until FROM rollup_hour WHERE device_id = %(device_id)s
), used AS (
    SELECT schema_id FROM rollup_hour
    WHERE device_id = %(device_id)s AND bucket > %(from)s - interval '1 hour' AND bucket < %(to)s
    UNION
    SELECT schema_id FROM frame
    WHERE device_id = %(device_id)s AND ts >= greatest(%(from)s, (SELECT until FROM rolled)) AND ts < %(to)s
)
SELECT id, channels
FROM channel_schema
WHERE id IN (SELECT schema_id FROM used)
ORDER BY id

-- A page begins after the last row of the one before: no cursor stays open while a reader is slow.
-- name: page
SELECT ts, boot_id, seq, (extract(epoch FROM ts) * 1000)::int8 AS t_ms, schema_id, phase, quality, vals
FROM frame
WHERE device_id = %(device_id)s AND ts >= %(ts)s AND ts < %(to)s AND (ts, boot_id, seq) > (%(ts)s, %(boot_id)s, %(seq)s)
ORDER BY ts, boot_id, seq
LIMIT %(limit)s
