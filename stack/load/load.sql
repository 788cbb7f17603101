-- What the database holds of one load's tenant.

-- name: stored
WITH mine AS (SELECT id FROM device WHERE tenant = %(tenant)s),
said AS (
    SELECT device_id, boot_id, seq, true AS is_frame FROM frame WHERE device_id IN (SELECT id FROM mine)
    UNION ALL
    SELECT device_id, boot_id, seq, false FROM event WHERE device_id IN (SELECT id FROM mine)
)
SELECT count(*) FILTER (WHERE is_frame) AS frames,
       count(*) FILTER (WHERE NOT is_frame) AS events,
       count(*) - count(DISTINCT (device_id, boot_id, seq)) AS doubled
FROM said
