-- name: devices
SELECT id, timeline FROM device
WHERE tenant = %(tenant)s AND name = %(name)s AND (%(timeline)s::text IS NULL OR timeline = %(timeline)s)
ORDER BY timeline
