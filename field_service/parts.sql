-- Stock is the sum of its movements. `reserve` takes out of what is available, `ship` out of the house.
-- name: lock_node
SELECT pg_advisory_xact_lock(7463, hashtext(%(tenant)s || '/' || %(org_node)s || '/' || %(kit)s))

-- name: reserve
INSERT INTO part_movement (tenant, org_node, kit, quantity, kind, work_order_id, at)
SELECT %(tenant)s, %(org_node)s, %(kit)s, -1, 'reserve', %(order_id)s, %(at)s
WHERE (SELECT coalesce(sum(quantity), 0) FROM part_movement
       WHERE tenant = %(tenant)s AND org_node = %(org_node)s AND kit = %(kit)s) >= 1
RETURNING org_node

-- name: reserved
SELECT org_node, kit, -sum(quantity)::int4 AS quantity
FROM part_movement
WHERE work_order_id = %(order_id)s AND kind IN ('reserve', 'release')
GROUP BY org_node, kit
HAVING sum(quantity) < 0

-- name: underway
SELECT org_node, kit,
       (count(*) FILTER (WHERE kind = 'ship') - count(*) FILTER (WHERE kind <> 'ship'))::int4 AS quantity
FROM part_movement
WHERE work_order_id = %(order_id)s AND kind IN ('ship', 'return', 'use')
GROUP BY org_node, kit
HAVING count(*) FILTER (WHERE kind = 'ship') > count(*) FILTER (WHERE kind <> 'ship')

-- name: move
INSERT INTO part_movement (tenant, org_node, kit, quantity, kind, work_order_id, at)
VALUES (%(tenant)s, %(org_node)s, %(kit)s, %(quantity)s, %(kind)s, %(order_id)s, %(at)s)

-- name: sources
WITH RECURSIVE up AS (
    SELECT n.id, n.parent, n.kind, n.region, 0 AS steps
    FROM org_node n
    WHERE n.tenant = %(tenant)s
      AND (n.id = %(org_node)s OR (%(org_node)s::text IS NULL AND n.kind = 'hq'))
    UNION ALL
    SELECT n.id, n.parent, n.kind, n.region, up.steps + 1
    FROM up JOIN org_node n ON n.tenant = %(tenant)s AND n.id = up.parent
    WHERE up.steps < 8
)
SELECT up.id AS org_node, up.kind AS node_kind, up.region, stock.available::int4 AS available
FROM up
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.quantity), 0) AS available FROM part_movement m
    WHERE m.tenant = %(tenant)s AND m.org_node = up.id AND m.kit = %(kit)s
) stock
WHERE stock.available > 0
ORDER BY up.steps, up.id

-- name: stock
SELECT org_node, kit, coalesce(sum(quantity), 0)::int4 AS available,
       coalesce(sum(quantity) FILTER (WHERE kind NOT IN ('reserve', 'release')), 0)::int4 AS on_hand
FROM part_movement
WHERE tenant = %(tenant)s
GROUP BY org_node, kit
ORDER BY org_node, kit
