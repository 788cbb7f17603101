-- Alerts: what is taken, looked at, decided and written. Run inside one transaction for every tenant.
-- name: turn
SELECT pg_try_advisory_xact_lock(7461, 2) AS mine

-- name: take_predictions
SELECT id AS row_id, tenant, timeline, device_id, component, failure_mode, ts, above, probability,
       threshold, horizon_h, p10_h, p50_h, p90_h, reasons, model_version
FROM prediction
WHERE handled_at IS NULL
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: take_anomalies
SELECT id AS row_id, tenant, timeline, device_id, kind, ts, score, top_channel, evidence
FROM anomaly
WHERE handled_at IS NULL
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: take_faults
SELECT e.seq, e.boot_id, d.tenant, d.timeline, e.device_id, e.component, e.code, e.ts, e.details
FROM event e
JOIN device d ON d.id = e.device_id
WHERE e.handled_at IS NULL AND e.severity = 'critical' AND e.code <> ALL (%(no_faults)s)
ORDER BY e.ts, e.device_id, e.boot_id, e.seq
LIMIT %(limit)s
FOR UPDATE OF e SKIP LOCKED

-- name: due
SELECT a.timeline, a.device_id, a.kind, a.component, a.failure_mode, clock.now
FROM alert a
JOIN timeline t ON t.name = a.timeline
CROSS JOIN LATERAL (SELECT coalesce(t.now_at, now()) AS now) clock
WHERE a.state <> 'resolved'
  AND (a.kind = 'fault'  -- which ends by what its device says or does
       OR a.below_since IS NOT NULL
       OR a.inhibited_by IS NOT NULL
       OR a.updated_at < clock.now - interval '24 hours'
       OR EXISTS (SELECT FROM silence s WHERE s.tenant = a.tenant
                  AND s.starts_at <= clock.now AND (s.weekly OR s.ends_at > clock.now)))
ORDER BY a.id

-- name: standing
SELECT a.timeline, a.device_id, a.kind, a.component, a.failure_mode, a.state, a.hits, a.misses,
       a.below_since, a.opened_at, a.fired_at, a.updated_at, a.resolved_at, a.inhibited_by, a.told_at
FROM alert a
WHERE a.state <> 'resolved'
  AND (a.timeline, a.device_id) IN (SELECT * FROM unnest(%(timelines)s::text[], %(devices)s::int4[]))
ORDER BY a.id
FOR UPDATE OF a

-- name: surroundings
SELECT g.timeline, g.device_id, g.kind, g.component, g.failure_mode, d.tenant, d.name AS device,
       d.state <> 'offline' AS device_online, coalesce(p.region, '') AS region, p.org_node,
       EXISTS (SELECT FROM work_order w
               WHERE w.timeline = g.timeline AND w.device_id = g.device_id
                 AND w.component = g.component
                 AND (g.kind = 'fault' OR w.failure_mode = g.failure_mode)
                 AND w.state NOT IN ('closed', 'merged', 'cancelled')) AS open_work_order
FROM unnest(%(timelines)s::text[], %(devices)s::int4[], %(kinds)s::text[],
            %(components)s::text[], %(failure_modes)s::text[])
     AS g (timeline, device_id, kind, component, failure_mode)
JOIN device d ON d.id = g.device_id
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL

-- name: aftermath
-- What devices that told a fault have said and done since they last told it.
SELECT g.timeline, g.device_id, 'fault' AS kind, g.component, g.failure_mode,
       ARRAY(SELECT e.ts FROM event e
             WHERE e.device_id = g.device_id AND e.ts > word.ts
               AND e.code = ANY (%(well_again)s || ARRAY[g.ends, %(part_replaced)s])
               AND (e.code = ANY (%(well_again)s)
                    OR e.component = g.component
                    OR e.component IS NULL AND e.code = g.ends)
             ORDER BY e.ts) AS well_at,
       coalesce(d.last_frame_at > word.ts
                AND (SELECT f.phase FROM frame f WHERE f.device_id = d.id AND f.ts = d.last_frame_at
                     LIMIT 1) = %(running)s, false) AS running
FROM unnest(%(timelines)s::text[], %(devices)s::int4[], %(kinds)s::text[],
            %(components)s::text[], %(failure_modes)s::text[], %(ends)s::text[])
     AS g (timeline, device_id, kind, component, failure_mode, ends)
JOIN device d ON d.id = g.device_id
CROSS JOIN LATERAL (
    -- Of what is open, its last word; of what is about to open, the first that waits.
    SELECT coalesce((SELECT a.updated_at FROM alert a
                     WHERE a.timeline = g.timeline AND a.device_id = g.device_id AND a.kind = g.kind
                       AND a.component = g.component AND a.failure_mode = g.failure_mode
                       AND a.state <> 'resolved'),
                    (SELECT min(e.ts) FROM event e
                     WHERE e.device_id = g.device_id AND e.code = g.failure_mode
                       AND e.handled_at IS NULL AND e.severity = 'critical')) AS ts
) word
WHERE g.kind = 'fault'

-- name: silences
SELECT tenant, matcher, starts_at, ends_at, weekly
FROM silence
WHERE tenant = ANY (%(tenants)s)
ORDER BY id

-- name: open
WITH opened AS (
    INSERT INTO alert (tenant, timeline, region, org_node, device_id, kind, component, failure_mode,
                       state, inhibited_by, hits, misses, below_since, opened_at, fired_at,
                       updated_at, resolved_at, told_at, probability, horizon_h, p10_h, p50_h, p90_h,
                       prediction_id, model_version, evidence)
    VALUES (%(tenant)s, %(timeline)s, %(region)s, %(org_node)s, %(device_id)s, %(kind)s,
            %(component)s, %(failure_mode)s, %(state)s, %(muted_by)s, %(hits)s, %(misses)s,
            %(below_since)s, %(opened_at)s, %(fired_at)s, %(updated_at)s, %(resolved_at)s,
            %(told_at)s, %(probability)s, %(horizon_h)s, %(p10_h)s, %(p50_h)s, %(p90_h)s,
            %(prediction_id)s, %(model_version)s, %(evidence)s)
    RETURNING id, tenant
)
INSERT INTO alert_event (alert_id, tenant, at, actor, action, reason, params)
SELECT id, tenant, %(at)s, 'alerting', %(action)s, %(reason)s, %(params)s FROM opened
RETURNING alert_id AS id

-- name: move
WITH moved AS (
    UPDATE alert
    SET state = %(state)s, inhibited_by = %(muted_by)s, hits = %(hits)s, misses = %(misses)s,
        below_since = %(below_since)s, fired_at = %(fired_at)s, updated_at = %(updated_at)s,
        resolved_at = %(resolved_at)s, told_at = %(told_at)s,
        -- The newest evaluation above the threshold is what an alert shows.
        probability = CASE WHEN %(above)s THEN %(probability)s::real ELSE probability END,
        horizon_h = CASE WHEN %(above)s THEN %(horizon_h)s::real ELSE horizon_h END,
        p10_h = CASE WHEN %(above)s THEN %(p10_h)s::real ELSE p10_h END,
        p50_h = CASE WHEN %(above)s THEN %(p50_h)s::real ELSE p50_h END,
        p90_h = CASE WHEN %(above)s THEN %(p90_h)s::real ELSE p90_h END,
        prediction_id = CASE WHEN %(above)s THEN %(prediction_id)s::int8 ELSE prediction_id END,
        model_version = CASE WHEN %(above)s THEN %(model_version)s::text ELSE model_version END,
        evidence = CASE WHEN %(above)s THEN %(evidence)s::jsonb ELSE evidence END
    WHERE timeline = %(timeline)s AND device_id = %(device_id)s AND kind = %(kind)s
      AND component = %(component)s AND failure_mode = %(failure_mode)s AND state <> 'resolved'
    RETURNING id, tenant
)
INSERT INTO alert_event (alert_id, tenant, at, actor, action, reason, params)
SELECT id, tenant, %(at)s, 'alerting', %(action)s, %(reason)s, %(params)s FROM moved
RETURNING alert_id AS id

-- name: keep
-- An evaluation that changes nothing worth an event; many are written at once.
UPDATE alert
SET state = %(state)s, inhibited_by = %(muted_by)s, hits = %(hits)s, misses = %(misses)s,
    below_since = %(below_since)s, fired_at = %(fired_at)s, updated_at = %(updated_at)s,
    resolved_at = %(resolved_at)s, told_at = %(told_at)s,
    -- The newest evaluation above the threshold is what an alert shows.
    probability = CASE WHEN %(above)s THEN %(probability)s::real ELSE probability END,
    horizon_h = CASE WHEN %(above)s THEN %(horizon_h)s::real ELSE horizon_h END,
    p10_h = CASE WHEN %(above)s THEN %(p10_h)s::real ELSE p10_h END,
    p50_h = CASE WHEN %(above)s THEN %(p50_h)s::real ELSE p50_h END,
    p90_h = CASE WHEN %(above)s THEN %(p90_h)s::real ELSE p90_h END,
    prediction_id = CASE WHEN %(above)s THEN %(prediction_id)s::int8 ELSE prediction_id END,
    model_version = CASE WHEN %(above)s THEN %(model_version)s::text ELSE model_version END,
    evidence = CASE WHEN %(above)s THEN %(evidence)s::jsonb ELSE evidence END
WHERE timeline = %(timeline)s AND device_id = %(device_id)s AND kind = %(kind)s
  AND component = %(component)s AND failure_mode = %(failure_mode)s AND state <> 'resolved'

-- name: predictions_handled
UPDATE prediction SET handled_at = now() WHERE id = ANY (%(ids)s)

-- name: anomalies_handled
UPDATE anomaly SET handled_at = now() WHERE id = ANY (%(ids)s)

-- name: faults_handled
UPDATE event SET handled_at = now()
FROM unnest(%(devices)s::int4[], %(boots)s::int4[], %(seqs)s::int8[]) AS seen (device_id, boot_id, seq)
WHERE (event.device_id, event.boot_id, event.seq) = (seen.device_id, seen.boot_id, seen.seq)

-- name: tell
SELECT pg_notify('foremend_alert', '')

-- name: listen
LISTEN foremend_prediction

-- name: acknowledge
WITH clock AS (
    SELECT a.id, coalesce(t.now_at, now()) AS now
    FROM alert a JOIN timeline t ON t.name = a.timeline
    WHERE a.id = %(id)s AND a.state = 'firing'
), moved AS (
    UPDATE alert SET state = 'acknowledged'
    FROM clock WHERE alert.id = clock.id AND alert.state = 'firing'
    RETURNING alert.id, alert.tenant, clock.now
)
INSERT INTO alert_event (alert_id, tenant, at, actor, action, reason, params)
SELECT id, tenant, now, %(actor)s, 'acknowledge', 'acknowledged', %(params)s FROM moved
RETURNING alert_id AS id

-- name: state
SELECT state FROM alert WHERE id = %(id)s

-- name: add_silence
INSERT INTO silence (tenant, matcher, author, reason, starts_at, ends_at, weekly)
VALUES (%(tenant)s, %(matcher)s, %(author)s, %(reason)s, %(starts_at)s, %(ends_at)s, %(weekly)s)
RETURNING id

-- name: end_silence
UPDATE silence SET ends_at = greatest(%(at)s, starts_at + interval '1 microsecond'), weekly = false
WHERE id = %(id)s AND (weekly OR ends_at > %(at)s)
RETURNING id

-- name: silence_exists
SELECT id FROM silence WHERE id = %(id)s
