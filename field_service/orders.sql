-- Work orders, their ledger, findings, and what they need to know; run inside one transaction.
-- name: listen
LISTEN foremend_alert

-- name: next_alert
SELECT a.id, a.tenant, a.timeline, a.device_id, a.component, a.failure_mode,
       coalesce(a.fired_at, a.opened_at) AS fired_at, a.probability, a.horizon_h, a.p10_h, a.p50_h,
       a.p90_h, a.evidence, a.model_version
FROM alert a
-- One that fired counts even where it has been resolved meanwhile: everything is judged at its own
-- instant, so that being late changes nothing.
WHERE a.handled_at IS NULL AND a.fired_at IS NOT NULL AND a.kind = 'failure'
  AND (a.inhibited_by IS NULL OR a.inhibited_by = 'open_work_order')
ORDER BY a.fired_at, a.id
LIMIT 1
FOR UPDATE OF a SKIP LOCKED

-- name: handled
UPDATE alert SET handled_at = now() WHERE id = %(id)s

-- name: next_watched
SELECT w.*, d.name AS device
FROM work_order w
JOIN device d ON d.id = w.device_id
JOIN timeline t ON t.name = w.timeline
WHERE w.id > %(after)s AND w.state NOT IN ('closed', 'merged', 'cancelled')
  AND (w.state = 'verifying'
       OR EXISTS (SELECT FROM event e
                  WHERE e.device_id = w.device_id AND e.ts > w.opened_at AND e.code = 'part_replaced'
                    AND e.component = w.component)
       OR (w.state IN ('proposed', 'remote_fix', 'qualified', 'offered')
           AND w.opened_at + make_interval(secs => w.horizon_h * 3600) < coalesce(t.now_at, now())
           AND EXISTS (SELECT FROM alert a WHERE a.id = w.alert_id AND a.state = 'resolved')))
ORDER BY w.id
LIMIT 1
FOR UPDATE OF w SKIP LOCKED

-- name: lock_counter
INSERT INTO work_order_counter (tenant, last) VALUES (%(tenant)s, 0)
ON CONFLICT (tenant) DO UPDATE SET last = work_order_counter.last
RETURNING last

-- name: standing
SELECT w.*, d.name AS device
FROM work_order w JOIN device d ON d.id = w.device_id
WHERE w.timeline = %(timeline)s AND w.device_id = %(device_id)s AND w.component = %(component)s
  AND w.state NOT IN ('closed', 'merged', 'cancelled')
ORDER BY w.id
FOR UPDATE OF w

-- name: get
SELECT w.*, d.name AS device
FROM work_order w JOIN device d ON d.id = w.device_id
WHERE w.tenant = %(tenant)s AND w.number = %(number)s
FOR UPDATE OF w

-- name: insert
WITH next AS (SELECT last + 1 AS number FROM work_order_counter WHERE tenant = %(tenant)s)
INSERT INTO work_order (tenant, number, timeline, region, org_node, device_id, component, failure_mode,
                        alert_id, kind, state, opened_at, state_at, strategy, kit, kit_revision, cost,
                        currency, options, probability, horizon_h, p10_h, p50_h, p90_h, evidence,
                        model_version)
SELECT %(tenant)s, next.number, %(timeline)s, %(region)s, %(org_node)s, %(device_id)s, %(component)s,
       %(failure_mode)s, %(alert_id)s, %(kind)s, %(state)s, %(opened_at)s, %(state_at)s, %(strategy)s,
       %(kit)s, %(kit_revision)s, %(cost)s, %(currency)s, %(options)s, %(probability)s, %(horizon_h)s,
       %(p10_h)s, %(p50_h)s, %(p90_h)s, %(evidence)s, %(model_version)s
FROM next
ON CONFLICT (timeline, device_id, component, failure_mode)
    WHERE state NOT IN ('closed', 'merged', 'cancelled') DO NOTHING
RETURNING id, number

-- name: count
UPDATE work_order_counter SET last = %(number)s WHERE tenant = %(tenant)s

-- name: save
UPDATE work_order
SET state = %(state)s, state_at = %(state_at)s, held_from = %(held_from)s, fitted_at = %(fitted_at)s,
    verify_until = %(verify_until)s, strategy = %(strategy)s, cost = %(cost)s, currency = %(currency)s,
    assignee = %(assignee)s, as_found = %(as_found)s, reopened = %(reopened)s, version = %(version)s
WHERE id = %(id)s AND version = %(expected_version)s

-- name: record
INSERT INTO work_order_event (work_order_id, tenant, at, actor, action, from_state, to_state, reason, params)
VALUES (%(order_id)s, %(tenant)s, %(at)s, %(actor)s, %(action)s, %(from_state)s, %(to_state)s, %(reason)s,
        %(params)s)

-- name: ledger
SELECT at, actor, action, from_state, to_state, reason, params
FROM work_order_event WHERE work_order_id = %(order_id)s ORDER BY id

-- name: add_finding
INSERT INTO finding (work_order_id, attempt, tenant, timeline, device_id, component, failure_mode, as_found,
                     kit, replaced, note, occurred_at, known_at)
VALUES (%(order_id)s, %(attempt)s, %(tenant)s, %(timeline)s, %(device_id)s, %(component)s, %(failure_mode)s,
        %(as_found)s, %(kit)s, %(replaced)s, %(note)s, %(occurred_at)s, %(known_at)s)
ON CONFLICT (work_order_id, attempt) DO NOTHING

-- name: judge
UPDATE finding SET verified = %(verified)s
WHERE id = (SELECT id FROM finding WHERE work_order_id = %(order_id)s ORDER BY attempt DESC LIMIT 1)
  AND verified IS NULL

-- name: device
SELECT d.id, d.tenant, d.timeline, d.name, d.family, coalesce(p.region, %(default_region)s) AS region,
       p.org_node, coalesce(t.now_at, now()) AS now
FROM device d
JOIN timeline t ON t.name = d.timeline
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
WHERE d.id = %(device_id)s

-- name: outcomes
SELECT w.strategy, count(*) FILTER (WHERE f.verified = 'recovered') AS fixed,
       count(*) FILTER (WHERE f.verified = 'not_recovered') AS not_fixed
FROM finding f JOIN work_order w ON w.id = f.work_order_id
WHERE f.tenant = %(tenant)s AND f.failure_mode = %(failure_mode)s AND w.strategy IS NOT NULL
  AND f.verified IN ('recovered', 'not_recovered') AND f.as_found <> 'no_fault_found'
GROUP BY w.strategy

-- name: signals
SELECT hazard.probability AS hazard, hazard.ts AS hazard_at, hazard.abstained,
       (SELECT p.threshold FROM prediction p
        WHERE p.device_id = w.device_id AND p.component = w.component AND p.failure_mode = w.failure_mode
        ORDER BY p.ts DESC LIMIT 1) AS threshold,
       coalesce((SELECT a.kind = 'alarm' FROM anomaly a
                 WHERE a.device_id = w.device_id AND a.ts > w.fitted_at AND a.kind IN ('alarm', 'cleared')
                 ORDER BY a.ts DESC, a.id DESC LIMIT 1), false) AS anomalous,
       (SELECT max(e.ts) FROM event e
        WHERE e.device_id = w.device_id AND e.ts > w.fitted_at AND e.component = w.component
          AND e.severity IN ('error', 'critical')) AS failed_again_at,
       coalesce((SELECT f.phase = 6 OR f.phase = 7 AND down.is_so FROM frame f
                 WHERE f.device_id = w.device_id AND f.ts > w.fitted_at
                 ORDER BY f.ts DESC LIMIT 1), false) AS in_error,
       coalesce(seen.running_h, 0) AS running_h
FROM work_order w
JOIN timeline t ON t.name = w.timeline
LEFT JOIN component_hazard hazard USING (device_id, component, failure_mode)
CROSS JOIN LATERAL (
    -- Stopped is what a machine says that failed as well as one that is out of use: it is down where
    -- it has not been at work since its last error, and no other order sees to that. What turns takes
    -- minutes to stand still.
    SELECT max(e.ts) IS NOT NULL
           AND NOT EXISTS (SELECT FROM work_order o
                           WHERE o.timeline = w.timeline AND o.device_id = w.device_id AND o.id <> w.id
                             AND o.state NOT IN ('closed', 'merged', 'cancelled')
                             AND o.state <> 'verifying')
           AND NOT EXISTS (SELECT FROM frame f
                           WHERE f.device_id = w.device_id AND f.ts > max(e.ts) + interval '5 minutes'
                             AND f.phase NOT IN (0, 6, 7)) AS is_so
    FROM event e
    WHERE e.device_id = w.device_id AND e.ts > w.opened_at - interval '7 days'
      AND e.severity IN ('error', 'critical')
) down
LEFT JOIN LATERAL (
    -- Before the watch may end nobody asks; a hole in the telemetry counts as two hours at most.
    SELECT sum(extract(epoch FROM least(step, interval '2 hours'))) FILTER (WHERE phase = 3) / 3600
           AS running_h
    FROM (SELECT f.phase, f.ts - lag(f.ts, 1, w.fitted_at) OVER (ORDER BY f.ts) AS step
          FROM frame f
          WHERE f.device_id = w.device_id AND f.ts > w.fitted_at
            AND f.ts <= w.fitted_at + 4 * (w.verify_until - w.fitted_at)) steps
) seen ON w.verify_until <= coalesce(t.now_at, now())
WHERE w.id = %(order_id)s

-- name: replaced_at
SELECT min(e.ts) AS ts
FROM work_order w
JOIN event e ON e.device_id = w.device_id AND e.component = w.component AND e.code = 'part_replaced'
WHERE w.id = %(order_id)s
  AND e.ts > (SELECT coalesce(max(l.at), w.opened_at) FROM work_order_event l
              WHERE l.work_order_id = w.id AND l.action IN ('fit', 'part_seen', 'reopen'))

-- name: alert_over
SELECT state = 'resolved' AS over FROM alert WHERE id = %(id)s

-- name: tell
SELECT pg_notify('foremend_work_order', %(payload)s)
