-- name: timeline
INSERT INTO timeline (name, kind) VALUES ('live', 'live')

-- name: schema
INSERT INTO channel_schema (hash, channels)
SELECT 'bench', jsonb_agg(jsonb_build_object('name', 'channel_' || n, 'unit', '1')) FROM generate_series(1, %(channels)s) AS n
RETURNING id

-- name: device
INSERT INTO device (tenant, timeline, name, partition) VALUES ('demo', 'live', 'bench', 0) RETURNING id

-- One frame a second: waves of several lengths, noise, and a spike of one frame an hour.
-- name: frames
INSERT INTO frame (device_id, ts, boot_id, seq, schema_id, phase, quality, batch_id, vals)
SELECT %(device)s, %(start)s::timestamptz + s * interval '1 second', 1, s / 10, %(schema)s, 3, 0, 1 + s / 10000,
       ARRAY(SELECT 20 * c + sin(s / (100.0 * c)) + random() + CASE WHEN s %% 3600 = c THEN 50 ELSE 0 END
             FROM generate_series(1, %(channels)s) AS c)
FROM generate_series(%(first)s::int8, %(last)s::int8) AS s

-- name: log
INSERT INTO input_log (partition, pos, kind, batch_id)
SELECT 0, b, 'batch', b FROM generate_series(1, %(batches)s::int8) AS b

-- name: head
UPDATE partition_head SET pos = %(batches)s WHERE partition = 0

-- name: analyze
ANALYZE frame, rollup_minute, rollup_hour
