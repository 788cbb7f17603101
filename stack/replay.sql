-- name: orders
SELECT d.name AS device, w.component, w.opened_at, w.probability, w.evidence
FROM work_order w
JOIN device d ON d.id = w.device_id
WHERE w.timeline = %(timeline)s AND w.kind = 'predictive'
ORDER BY w.opened_at, d.name, w.component

-- name: duplicates
SELECT count(*) AS duplicates
FROM (SELECT FROM work_order
      WHERE timeline = %(timeline)s
      GROUP BY device_id, component, opened_at
      HAVING count(*) > 1) d

-- name: stored
SELECT count(*) AS frames
FROM frame f
JOIN device d ON d.id = f.device_id
WHERE d.timeline = %(timeline)s
