-- name: list
SELECT a.id, d.name AS device, a.kind, a.component, a.failure_mode, a.state, a.inhibited_by, a.region,
       a.opened_at, a.fired_at, a.updated_at, a.resolved_at, a.probability, a.horizon_h,
       a.p10_h, a.p50_h, a.p90_h, a.model_version, a.evidence,
       (SELECT number FROM work_order w WHERE w.alert_id = a.id ORDER BY w.id DESC LIMIT 1) AS order_number
FROM alert a
JOIN device d ON d.id = a.device_id
WHERE a.timeline = %(timeline)s
  AND (%(region)s::text IS NULL OR a.region = %(region)s)
  AND (%(states)s::text[] IS NULL OR a.state = ANY (%(states)s))
  AND (%(kind)s::text IS NULL OR a.kind = %(kind)s)
  AND (%(device)s::text IS NULL OR d.name = %(device)s)
  AND (%(id)s::int8 IS NULL OR a.id = %(id)s)
  AND (%(before)s::int8 IS NULL OR a.id < %(before)s)
ORDER BY a.id DESC
LIMIT %(limit)s

-- name: timeline_of
SELECT timeline FROM alert WHERE id = %(id)s AND (%(region)s::text IS NULL OR region = %(region)s)

-- name: events
SELECT at, wall_at, actor, action, reason, params
FROM alert_event
WHERE alert_id = %(id)s
ORDER BY id

-- name: silences
SELECT id, matcher, author, reason, starts_at, ends_at, weekly
FROM silence
WHERE (weekly OR ends_at > %(now)s) AND (%(id)s::int8 IS NULL OR id = %(id)s)
  AND (%(region)s::text IS NULL OR matcher ->> 'region' = %(region)s)
ORDER BY ends_at, id
LIMIT 200
