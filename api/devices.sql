-- name: list
SELECT d.id, d.name, d.family, d.model, d.firmware, d.state, d.last_frame_at, d.last_seen_at,
       coalesce(p.region, '') AS region, coalesce(p.site, '') AS site, coalesce(p.country, '') AS country,
       f.phase, f.quality,
       h.ts AS health_at, h.score, coalesce(h.anomalous, false) AS anomalous, h.top_channel,
       z.component AS risk_component, z.failure_mode AS risk_failure_mode, z.probability AS risk_probability,
       z.horizon_h AS risk_horizon_h, z.p10_h AS risk_p10_h, z.p50_h AS risk_p50_h, z.p90_h AS risk_p90_h,
       w.number AS order_number, w.state AS order_state, w.component AS order_component,
       a.alerts, a.notices
FROM device d
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
LEFT JOIN LATERAL (SELECT phase, quality FROM frame WHERE device_id = d.id AND ts = d.last_frame_at LIMIT 1) f ON true
LEFT JOIN LATERAL (SELECT ts, score, anomalous, top_channel FROM health
                   WHERE device_id = d.id ORDER BY ts DESC LIMIT 1) h ON true
LEFT JOIN LATERAL (SELECT * FROM component_hazard
                   WHERE device_id = d.id AND abstained IS NULL ORDER BY probability DESC LIMIT 1) z ON true
LEFT JOIN LATERAL (SELECT number, state, component FROM work_order
                   WHERE device_id = d.id AND state NOT IN ('closed', 'merged', 'cancelled')
                   ORDER BY opened_at DESC LIMIT 1) w ON true
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE kind IN ('failure', 'fault')) AS alerts,
                          count(*) FILTER (WHERE kind = 'inspection') AS notices
                   FROM alert
                   WHERE device_id = d.id AND state IN ('firing', 'acknowledged')) a ON true
WHERE d.timeline = %(timeline)s
  AND (%(region)s::text IS NULL OR p.region = %(region)s)
  AND (%(name)s::text IS NULL OR d.name = %(name)s)
  AND (%(after)s::text IS NULL OR d.name > %(after)s)
ORDER BY d.name
LIMIT %(limit)s

-- name: identify
SELECT d.id
FROM device d
LEFT JOIN placement p ON p.device_id = d.id AND p.valid_to IS NULL
WHERE d.timeline = %(timeline)s AND d.name = %(name)s AND (%(region)s::text IS NULL OR p.region = %(region)s)

-- name: components
SELECT c.instance, c.kind, c.serial, c.installed_at,
       (SELECT max(e.ts) FROM event e
        WHERE e.device_id = c.device_id AND e.component = c.instance AND e.code = 'part_replaced') AS replaced_at
FROM component c
WHERE c.device_id = %(device_id)s
ORDER BY c.instance

-- name: hazards
SELECT component, failure_mode, ts, NULLIF(probability, 'NaN') AS probability, horizon_h, p10_h, p50_h, p90_h, model_version, abstained
FROM component_hazard
WHERE device_id = %(device_id)s
ORDER BY (abstained IS NOT NULL), probability DESC, component, failure_mode

-- name: channels
SELECT s.channels
FROM boot b
JOIN channel_schema s ON s.id = b.schema_id
WHERE b.device_id = %(device_id)s
ORDER BY b.booted_at DESC, b.id DESC
LIMIT 1

-- name: agent
SELECT agent FROM boot WHERE device_id = %(device_id)s ORDER BY booted_at DESC, id DESC LIMIT 1

-- name: sparks
SELECT d.name,
       width_bucket(extract(epoch FROM h.ts)::float8, %(from_s)s, %(to_s)s, %(points)s) AS slot,
       max(h.score) AS score, bool_or(h.anomalous) AS anomalous
FROM health h
JOIN device d ON d.id = h.device_id
WHERE d.timeline = %(timeline)s AND h.ts >= %(from)s AND h.ts < %(to)s
GROUP BY d.name, slot
ORDER BY d.name, slot
