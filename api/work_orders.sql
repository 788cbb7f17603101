-- name: list
SELECT o.id, o.number, d.name AS device, d.family, o.region, o.component, o.failure_mode, o.kind, o.state,
       o.opened_at, o.state_at, o.verify_until, o.strategy, o.kit, o.cost, o.currency,
       o.probability, o.horizon_h, o.p10_h, o.p50_h, o.p90_h, o.assignee, o.as_found, o.reopened, o.version
FROM work_order o
JOIN device d ON d.id = o.device_id
WHERE o.timeline = %(timeline)s
  AND (%(region)s::text IS NULL OR o.region = %(region)s)
  AND (%(states)s::text[] IS NULL OR o.state = ANY (%(states)s))
  AND (%(device)s::text IS NULL OR d.name = %(device)s)
  AND (%(before)s::int8 IS NULL OR o.number < %(before)s)
ORDER BY o.number DESC
LIMIT %(limit)s

-- name: one
SELECT o.id, o.timeline, o.number, d.name AS device, d.family, o.region, o.component, o.failure_mode, o.kind, o.state,
       o.opened_at, o.state_at, o.verify_until, o.strategy, o.kit, o.kit_revision, o.cost, o.currency,
       o.probability, o.horizon_h, o.p10_h, o.p50_h, o.p90_h, o.assignee, o.as_found, o.reopened, o.version,
       o.alert_id, o.model_version, o.evidence, o.options, o.org_node,
       coalesce(p.site, '') AS site, coalesce(p.country, '') AS country
FROM work_order o
JOIN device d ON d.id = o.device_id
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
WHERE o.number = %(number)s AND (%(region)s::text IS NULL OR o.region = %(region)s)

-- name: ledger
SELECT at, wall_at, actor, action, from_state, to_state, reason, params
FROM work_order_event
WHERE work_order_id = %(id)s
ORDER BY id

-- name: findings
SELECT attempt, component, failure_mode, as_found, kit, replaced, note, occurred_at, known_at, verified
FROM finding
WHERE work_order_id = %(id)s
ORDER BY attempt

-- What its device was asked to tell of itself from the order's opening to its end.
-- name: checks
SELECT c.id, c.kind, c.state, c.reason, c.details, c.asked_by, c.issued_at, c.settled_at
FROM work_order o
JOIN command c ON c.device_id = o.device_id AND c.timeline = o.timeline
WHERE o.id = %(id)s
  AND c.kind = ANY (%(kinds)s)
  AND c.issued_at >= o.opened_at
  AND (o.state <> ALL (%(over)s) OR c.issued_at <= o.state_at)
ORDER BY c.issued_at DESC, c.counter DESC
LIMIT %(limit)s

-- name: component
SELECT instance FROM component WHERE device_id = %(device_id)s AND instance = %(component)s

-- name: counts
SELECT state, count(*) AS orders
FROM work_order
WHERE timeline = %(timeline)s AND (%(region)s::text IS NULL OR region = %(region)s)
GROUP BY state
