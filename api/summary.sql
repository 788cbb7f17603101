-- name: devices
SELECT count(*) AS devices,
       count(*) FILTER (WHERE d.state = 'online') AS online,
       count(*) FILTER (WHERE d.state = 'offline') AS offline,
       count(*) FILTER (WHERE h.anomalous) AS anomalous,
       max(h.ts) AS scored_at
FROM device d
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
LEFT JOIN LATERAL (SELECT anomalous, ts FROM health WHERE device_id = d.id ORDER BY ts DESC LIMIT 1) h ON true
WHERE d.timeline = %(timeline)s AND (%(region)s::text IS NULL OR p.region = %(region)s)

-- name: alerts
SELECT count(*) FILTER (WHERE state = 'firing') AS firing,
       count(*) FILTER (WHERE state = 'acknowledged') AS acknowledged
FROM alert
WHERE timeline = %(timeline)s AND state IN ('firing', 'acknowledged')
  AND (%(region)s::text IS NULL OR region = %(region)s)

-- name: findings
SELECT count(*) AS findings, count(*) FILTER (WHERE f.as_found <> 'no_fault_found') AS confirmed
FROM finding f
JOIN work_order o ON o.id = f.work_order_id
WHERE f.timeline = %(timeline)s AND (%(region)s::text IS NULL OR o.region = %(region)s)

-- name: story_alerts
SELECT e.wall_at, e.at, 'alert' AS source, e.actor, e.action, e.reason, d.name AS device,
       a.component, a.failure_mode, a.kind, a.id AS number, a.state,
       a.probability, a.horizon_h, a.p10_h, a.p50_h, a.p90_h, a.evidence,
       NULL AS strategy, NULL AS kit, NULL::numeric AS cost, NULL AS currency, NULL AS region, e.params
FROM alert_event e
JOIN alert a ON a.id = e.alert_id
JOIN device d ON d.id = a.device_id
WHERE a.timeline = %(timeline)s AND (%(region)s::text IS NULL OR a.region = %(region)s)
  AND a.state <> 'pending'
ORDER BY e.id DESC
LIMIT %(limit)s

-- name: story_orders
SELECT e.wall_at, e.at, 'work_order' AS source, e.actor, e.action, e.reason, d.name AS device,
       o.component, o.failure_mode, o.kind, o.number, e.to_state AS state,
       o.probability, o.horizon_h, o.p10_h, o.p50_h, o.p90_h, o.evidence,
       o.strategy, o.kit, o.cost, o.currency, o.region, e.params
FROM work_order_event e
JOIN work_order o ON o.id = e.work_order_id
JOIN device d ON d.id = o.device_id
WHERE o.timeline = %(timeline)s AND (%(region)s::text IS NULL OR o.region = %(region)s)
ORDER BY e.id DESC
LIMIT %(limit)s
