-- What the database holds of one drill's tenant, as the ledger names it.

-- name: frames
SELECT d.name, b.name, f.seq, f.vals
FROM frame f
JOIN device d ON d.id = f.device_id
JOIN boot b ON b.id = f.boot_id
WHERE d.tenant = %(tenant)s

-- name: events
SELECT d.name, b.name, e.seq, e.code, e.details
FROM event e
JOIN device d ON d.id = e.device_id
JOIN boot b ON b.id = e.boot_id
WHERE d.tenant = %(tenant)s

-- name: gaps
SELECT d.name, b.name, lower(g.lost), upper(g.lost), g.reason
FROM gap g
JOIN device d ON d.id = g.device_id
JOIN boot b ON b.id = g.boot_id
WHERE d.tenant = %(tenant)s

-- name: scoring_lag
-- Entries that the live consumer has not yet told of; null before its first commit.
SELECT sum(h.pos - c.output_pos)::int8
FROM partition_head h JOIN scoring_cursor c USING (partition)
WHERE c.consumer = 'live'
