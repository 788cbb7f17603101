-- The service network, where devices stand, and opening stock.
-- name: put_node
INSERT INTO org_node (tenant, id, parent, name, kind, operated_by, region, country, currency, time_zone)
VALUES (%(tenant)s, %(id)s, %(parent)s, %(name)s, %(kind)s, %(operated_by)s, %(region)s, %(country)s,
        %(currency)s, %(time_zone)s)
ON CONFLICT (tenant, id) DO NOTHING

-- name: put_stock
INSERT INTO part_movement (tenant, org_node, kit, quantity, kind, at)
SELECT %(tenant)s, %(org_node)s, %(kit)s, %(quantity)s, 'opening', %(at)s
WHERE NOT EXISTS (SELECT FROM part_movement m
                  WHERE m.tenant = %(tenant)s AND m.org_node = %(org_node)s AND m.kit = %(kit)s
                    AND m.kind = 'opening')

-- name: lock_network
SELECT pg_advisory_xact_lock(7464, hashtext(%(tenant)s))

-- name: end_placement
UPDATE placement SET valid_to = %(at)s
WHERE device_id = %(device_id)s AND valid_to IS NULL
  AND (region, org_node, site, country, contract, warranty_until) IS DISTINCT FROM
      (%(region)s, %(org_node)s, %(site)s, %(country)s, %(contract)s, %(warranty_until)s::timestamptz)

-- name: put_placement
INSERT INTO placement (device_id, tenant, region, org_node, site, country, contract, warranty_until, valid_from)
SELECT d.id, d.tenant, %(region)s, %(org_node)s, %(site)s, %(country)s, %(contract)s, %(warranty_until)s,
       %(at)s
FROM device d
WHERE d.id = %(device_id)s
ON CONFLICT DO NOTHING
RETURNING device_id

-- name: is_placed
SELECT 1 FROM placement WHERE device_id = %(device_id)s AND valid_to IS NULL

-- name: unplaced
SELECT d.id, d.name, d.family, d.timeline, coalesce(t.now_at, now()) AS now
FROM device d
JOIN timeline t ON t.name = d.timeline
WHERE d.tenant = %(tenant)s
  AND NOT EXISTS (SELECT FROM placement p WHERE p.device_id = d.id AND p.valid_to IS NULL)
ORDER BY d.name
