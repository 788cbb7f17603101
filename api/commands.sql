-- Commands to devices and how they should be set; the courier carries both.
-- name: target
SELECT d.id, d.name, d.timeline, coalesce(t.now_at, now()) AS now
FROM device d
JOIN timeline t ON t.name = d.timeline
WHERE d.id = %(device_id)s

-- Rises for ever, and is never below the clock's milliseconds: a restored database repeats none.
-- name: next_number
INSERT INTO downlink_counter (tenant, device, counter)
VALUES (%(tenant)s, %(device)s, floor(extract(epoch FROM clock_timestamp()) * 1000))
ON CONFLICT (tenant, device) DO UPDATE
SET counter = greatest(downlink_counter.counter + 1, excluded.counter)
RETURNING counter

-- name: add_command
INSERT INTO command (id, tenant, timeline, device_id, device, counter, kind, args, interlock, issued_at, expires_at, asked_by)
VALUES (%(id)s, %(tenant)s, %(timeline)s, %(device_id)s, %(device)s, %(counter)s, %(kind)s, %(args)s, %(interlock)s,
        %(now)s::timestamptz, %(now)s::timestamptz + make_interval(secs => %(expires_s)s), %(asked_by)s)
RETURNING id, device, kind, args, interlock, state, reason, details, asked_by, asked_at, issued_at, expires_at, sends, settled_at

-- name: tell_courier
SELECT pg_notify('foremend_downlink', '')

-- name: command
SELECT id, device, kind, args, interlock, state, reason, details, asked_by, asked_at, issued_at, expires_at, sends, settled_at
FROM command
WHERE id = %(id)s AND device_id = %(device_id)s

-- name: commands
SELECT id, device, kind, args, interlock, state, reason, details, asked_by, asked_at, issued_at, expires_at, sends, settled_at
FROM command
WHERE device_id = %(device_id)s
ORDER BY asked_at DESC
LIMIT %(limit)s

-- name: desire
INSERT INTO twin (tenant, timeline, device_id, device, desired, version, desired_by)
VALUES (%(tenant)s, %(timeline)s, %(device_id)s, %(device)s, %(desired)s, %(counter)s, %(asked_by)s)
ON CONFLICT (tenant, device) DO UPDATE
SET desired = excluded.desired, version = excluded.version, desired_by = excluded.desired_by,
    timeline = excluded.timeline, device_id = excluded.device_id,
    desired_at = now(), payload = NULL, sends = 0, sent_at = NULL, next_at = now()

-- name: twin
SELECT device, desired, version, desired_at, desired_by, reported, reported_version, reported_at
FROM twin
WHERE device_id = %(device_id)s
