-- name: orders
SELECT o.number, d.name AS device, o.component, o.failure_mode, o.probability, o.state,
       (extract(epoch FROM o.opened_at) * 1000)::int8 AS opened_ms
FROM work_order o
JOIN device d ON d.id = o.device_id
WHERE o.timeline = %(timeline)s AND o.kind = 'predictive'
  AND (%(region)s::text IS NULL OR o.region = %(region)s)
ORDER BY o.number

-- name: devices
SELECT d.name
FROM device d
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
WHERE d.timeline = %(timeline)s AND (%(region)s::text IS NULL OR p.region = %(region)s)
