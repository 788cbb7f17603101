-- name: timelines
SELECT t.name, t.kind, t.now_at, max(d.last_seen_at) AS seen_at
FROM timeline t
JOIN device d ON d.timeline = t.name
GROUP BY t.name

-- One look into an index a device; stops at the first reading.
-- name: holders
SELECT DISTINCT d.timeline
FROM device d
WHERE EXISTS (SELECT FROM frame f WHERE f.device_id = d.id AND f.ts >= %(since)s AND f.ts < %(until)s)

-- name: holders_of_minutes
SELECT DISTINCT d.timeline
FROM device d
WHERE EXISTS (SELECT FROM rollup_minute f WHERE f.device_id = d.id AND f.bucket >= %(since)s AND f.bucket < %(until)s)

-- name: holders_of_hours
SELECT DISTINCT d.timeline
FROM device d
WHERE EXISTS (SELECT FROM rollup_hour f WHERE f.device_id = d.id AND f.bucket >= %(since)s AND f.bucket < %(until)s)
