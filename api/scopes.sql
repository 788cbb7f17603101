-- name: timelines
SELECT t.name, t.kind, coalesce(t.now_at, now()) AS now_at, count(d.id) AS devices,
       max(d.last_seen_at) AS last_seen_at
FROM timeline t
JOIN device d ON d.timeline = t.name
GROUP BY t.name
ORDER BY (t.kind = 'live'), max(d.last_seen_at) DESC NULLS LAST, max(d.id) DESC
