-- Challengers beside the model in force; the caller's transaction names the tenant.

-- name: begin
INSERT INTO shadow_trial (version, cohort) VALUES (%(version)s, %(cohort)s)
ON CONFLICT (version) DO UPDATE SET begun_at = now(), ended_at = NULL, fault = NULL
WHERE shadow_trial.ended_at IS NOT NULL

-- Of an earlier trial: between the two it looked at nothing, and is not judged on that time.
-- name: forget_said
DELETE FROM shadow_prediction s USING shadow_trial t
WHERE s.version = %(version)s AND t.version = s.version AND t.ended_at IS NOT NULL

-- name: forget_seen
DELETE FROM shadow_seen s USING shadow_trial t
WHERE s.version = %(version)s AND t.version = s.version AND t.ended_at IS NOT NULL

-- name: end_others
UPDATE shadow_trial SET ended_at = now() WHERE cohort = %(cohort)s AND version <> %(version)s AND ended_at IS NULL
RETURNING version

-- name: end
UPDATE shadow_trial SET ended_at = now() WHERE version = %(version)s AND ended_at IS NULL

-- name: fail
UPDATE shadow_trial SET ended_at = now(), fault = %(fault)s WHERE version = %(version)s AND ended_at IS NULL

-- name: running
SELECT version, cohort FROM shadow_trial WHERE ended_at IS NULL ORDER BY cohort

-- name: trial
SELECT version, cohort, begun_at, ended_at, fault FROM shadow_trial WHERE version = %(version)s

-- name: forget_cursors
DELETE FROM scoring_cursor WHERE consumer = %(consumer)s

-- name: forget_snapshots
DELETE FROM scoring_snapshot WHERE consumer = %(consumer)s

-- name: seen
SELECT d.timeline || '/' || d.name, (extract(epoch FROM s.since) * 1000)::int8, (extract(epoch FROM s.until) * 1000)::int8
FROM shadow_seen s JOIN device d ON d.id = s.device_id
WHERE s.version = %(version)s AND (%(timeline)s::text IS NULL OR d.timeline = %(timeline)s)

-- name: said_by_shadow
SELECT d.timeline || '/' || d.name, p.component, (extract(epoch FROM p.ts) * 1000)::int8, p.probability
FROM shadow_prediction p JOIN device d ON d.id = p.device_id
WHERE p.version = %(version)s AND p.above AND (%(timeline)s::text IS NULL OR d.timeline = %(timeline)s)
ORDER BY p.ts, d.id, p.component

-- name: said_in_force
SELECT d.timeline || '/' || d.name, p.component, (extract(epoch FROM p.ts) * 1000)::int8, p.probability
FROM shadow_seen s
JOIN device d ON d.id = s.device_id
JOIN prediction p ON p.device_id = s.device_id AND p.ts BETWEEN s.since AND s.until
WHERE s.version = %(version)s AND p.above AND (%(timeline)s::text IS NULL OR d.timeline = %(timeline)s)
ORDER BY p.ts, d.id, p.component

-- name: found
SELECT l.timeline || '/' || l.device, l.component, (extract(epoch FROM l.occurred_at) * 1000)::int8, l.failed, l.replaced
FROM failure_label l JOIN shadow_seen s ON s.device_id = l.device_id
WHERE s.version = %(version)s AND (%(timeline)s::text IS NULL OR l.timeline = %(timeline)s)

-- name: replaced
SELECT d.timeline || '/' || d.name, e.component, (extract(epoch FROM e.ts) * 1000)::int8
FROM event e JOIN shadow_seen s ON s.device_id = e.device_id JOIN device d ON d.id = e.device_id
WHERE s.version = %(version)s AND e.code = %(part_replaced)s AND e.component IS NOT NULL
  AND (%(timeline)s::text IS NULL OR d.timeline = %(timeline)s)
