-- What the database holds of a soak's tenant.

-- name: frames
SELECT b.name, f.seq, (extract(epoch FROM f.ts) * 1000)::int8, f.vals
FROM frame f
JOIN device d ON d.id = f.device_id
JOIN boot b ON b.id = f.boot_id
WHERE d.tenant = %(tenant)s
ORDER BY f.ts

-- name: events
SELECT e.code, (extract(epoch FROM e.ts) * 1000)::int8
FROM event e
JOIN device d ON d.id = e.device_id
WHERE d.tenant = %(tenant)s
ORDER BY e.ts
