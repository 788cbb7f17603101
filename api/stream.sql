-- name: listen
LISTEN foremend_prediction; LISTEN foremend_alert; LISTEN foremend_work_order

-- name: newest
SELECT (SELECT coalesce(max(id), 0) FROM prediction) AS prediction,
       (SELECT coalesce(max(id), 0) FROM alert_event) AS alert,
       (SELECT coalesce(max(id), 0) FROM work_order_event) AS work_order

-- Ids are given out before they are committed: a little further back is read again, and what was told is left out.
-- name: prediction
SELECT e.id, e.tenant, e.timeline, coalesce(p.region, '') AS region, d.name AS device,
       e.component, e.failure_mode, e.probability, NULL::int8 AS number, NULL AS action,
       CASE WHEN e.above THEN 'above' ELSE 'below' END AS state
FROM prediction e
JOIN device d ON d.id = e.device_id
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
WHERE e.id > %(floor)s AND e.id <> ALL (%(told)s)
ORDER BY e.id
LIMIT 500

-- name: alert
SELECT e.id, e.tenant, a.timeline, a.region, d.name AS device,
       a.component, a.failure_mode, a.probability, a.id AS number, e.action, a.state
FROM alert_event e
JOIN alert a ON a.id = e.alert_id
JOIN device d ON d.id = a.device_id
WHERE e.id > %(floor)s AND e.id <> ALL (%(told)s)
ORDER BY e.id
LIMIT 500

-- name: work_order
SELECT e.id, e.tenant, o.timeline, o.region, d.name AS device,
       o.component, o.failure_mode, o.probability, o.number, e.action, e.to_state AS state
FROM work_order_event e
JOIN work_order o ON o.id = e.work_order_id
JOIN device d ON d.id = o.device_id
WHERE e.id > %(floor)s AND e.id <> ALL (%(told)s)
ORDER BY e.id
LIMIT 500
