-- One process is the host application; others wait for its place.
-- name: take_place
SELECT pg_try_advisory_lock(7461, 3) AS mine

-- name: devices
SELECT d.tenant, d.name
FROM device d
WHERE d.timeline = 'live'
  AND EXISTS (SELECT FROM boot b WHERE b.device_id = d.id AND b.agent = %(agent)s)
ORDER BY d.tenant, d.name

-- While nobody listened their deaths went unheard.
-- name: doubt_presence
UPDATE device d
SET state = 'unknown', state_at = now()
WHERE d.timeline = 'live' AND d.state <> 'unknown'
  AND EXISTS (SELECT FROM boot b WHERE b.device_id = d.id AND b.agent = %(agent)s)
