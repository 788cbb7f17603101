-- name: alerted
-- Failures that were foreseen, and faults that devices told where no order sees to them already.
SELECT e.id, a.kind, d.name AS device, a.component, a.failure_mode, a.probability, a.p10_h, a.p90_h, a.horizon_h, a.evidence
FROM alert_event e
JOIN alert a ON a.id = e.alert_id
JOIN device d ON d.id = a.device_id
WHERE e.id > %(after)s AND e.action = 'fire' AND a.timeline = %(timeline)s
  AND (a.kind = 'failure' OR a.kind = 'fault' AND a.inhibited_by IS NULL)
ORDER BY e.id

-- name: moves
SELECT e.id, e.action, e.to_state, e.reason, e.params, w.id AS order_id, w.number, w.tenant,
       d.name AS device, w.component, w.as_found
FROM work_order_event e
JOIN work_order w ON w.id = e.work_order_id
JOIN device d ON d.id = w.device_id
WHERE e.id > %(after)s AND w.timeline = %(timeline)s
ORDER BY e.id

-- name: last_told
SELECT coalesce((SELECT max(id) FROM alert_event), 0) AS alerts,
       coalesce((SELECT max(id) FROM work_order_event), 0) AS moves

-- name: stored
SELECT count(*) AS frames, min(ts) AS first, max(ts) AS last
FROM frame f
JOIN boot b ON b.id = f.boot_id
WHERE b.name = ANY (%(boots)s)

-- name: counts
SELECT (SELECT count(*) FROM gap g JOIN boot b ON b.id = g.boot_id WHERE b.name = ANY (%(boots)s)) AS gaps,
       (SELECT count(*) FROM prediction WHERE timeline = %(timeline)s AND above) AS predictions,
       (SELECT count(*) FROM alert WHERE timeline = %(timeline)s AND kind <> 'fault') AS alerts,
       (SELECT count(*) FROM work_order WHERE timeline = %(timeline)s AND state = 'closed') AS closed,
       (SELECT count(*) FROM finding WHERE timeline = %(timeline)s) AS labels

-- name: orders
SELECT w.number, d.name AS device, w.component, w.failure_mode, w.probability, w.strategy, w.kit,
       w.kind, w.state, w.opened_at
FROM work_order w
JOIN device d ON d.id = w.device_id
WHERE w.timeline = %(timeline)s
ORDER BY w.number

-- name: first_frame
SELECT EXISTS (
    SELECT FROM receipt r JOIN boot b ON b.id = r.boot_id
    WHERE b.name = ANY (%(boots)s) AND NOT isempty(r.got)
) AS seen

-- name: lag
SELECT (SELECT coalesce(sum(h.pos - coalesce(c.output_pos, 0)), 0)
        FROM partition_head h
        LEFT JOIN scoring_cursor c ON c.partition = h.partition AND c.consumer = 'live')
     + (SELECT count(*) FROM prediction WHERE handled_at IS NULL)
     + (SELECT count(*) FROM alert
        WHERE handled_at IS NULL AND fired_at IS NOT NULL AND kind = 'failure'
          AND (inhibited_by IS NULL OR inhibited_by = 'open_work_order'))
       AS lag
