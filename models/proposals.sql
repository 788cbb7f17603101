-- Proposals to learn a family's model anew; the caller's transaction names the tenant.

-- Each family in use, with its model and the instant from which that model is judged on a timeline.
-- name: cohorts
SELECT d.tenant, d.timeline, m.cohort, m.version,
       greatest(CASE WHEN m.meta -> 'source' ->> 'timeline' = d.timeline
                     THEN to_timestamp((m.meta ->> 'known_by_ms')::float8 / 1000) END,
                (SELECT max(p.drifted_at) FROM retrain_proposal p
                 WHERE (p.tenant, p.timeline, p.cohort) = (d.tenant, d.timeline, m.cohort))) AS since
FROM model_version m
JOIN (SELECT DISTINCT tenant, timeline, family FROM device) d ON d.family = m.cohort
WHERE m.kind = 'failure' AND m.stage = 'champion'
  AND NOT EXISTS (SELECT FROM retrain_proposal p
                  WHERE (p.tenant, p.timeline, p.cohort) = (d.tenant, d.timeline, m.cohort) AND p.settled_at IS NULL)
ORDER BY 1, 2, 3

-- The last hours of health, as far back as a watch looks.
-- name: health
SELECT (extract(epoch FROM date_trunc('hour', h.ts)) * 1000)::int8, h.score
FROM health h JOIN device d ON d.id = h.device_id
WHERE (d.tenant, d.timeline, d.family) = (%(tenant)s, %(timeline)s, %(cohort)s)
  AND h.ts > greatest(coalesce(%(since)s::timestamptz, '-infinity'),
                      (SELECT max(last_frame_at) - make_interval(hours => %(hours)s) FROM device
                       WHERE (tenant, timeline, family) = (%(tenant)s, %(timeline)s, %(cohort)s)))

-- A part that was looked at and found good speaks against the model only if an order had sent for it.
-- name: outcomes
SELECT l.device, l.component, (extract(epoch FROM l.occurred_at) * 1000)::int8, l.failed
FROM failure_label l JOIN work_order o ON o.id = l.work_order_id
WHERE (l.tenant, l.timeline, l.family) = (%(tenant)s, %(timeline)s, %(cohort)s)
  AND l.occurred_at > coalesce(%(since)s::timestamptz, '-infinity')
  AND (l.failed OR (l.as_found = 'no_fault_found' AND o.kind = 'predictive'))

-- name: foreseen
SELECT d.name, p.component, (extract(epoch FROM p.ts) * 1000)::int8
FROM prediction p JOIN device d ON d.id = p.device_id
WHERE (d.tenant, d.timeline, d.family) = (%(tenant)s, %(timeline)s, %(cohort)s) AND p.above

-- name: propose
INSERT INTO retrain_proposal (tenant, timeline, cohort, kind, reason, version, drifted_at, before, now, devices)
VALUES (%(tenant)s, %(timeline)s, %(cohort)s, %(kind)s, %(reason)s, %(version)s, %(drifted_at)s, %(before)s, %(now)s,
        %(devices)s)
ON CONFLICT DO NOTHING

-- name: settle
UPDATE retrain_proposal SET settled_at = now(), settled_by = %(by)s
WHERE cohort = %(cohort)s AND settled_at IS NULL

-- name: open
SELECT id, tenant, timeline, cohort, kind, reason, version, drifted_at, before, now, devices, proposed_at
FROM retrain_proposal WHERE settled_at IS NULL
ORDER BY proposed_at DESC, id DESC
