-- name: lock
SELECT pg_try_advisory_lock(7462, hashtext(%(consumer)s))

-- name: listen
LISTEN foremend_input

-- name: put_cursors
INSERT INTO scoring_cursor (consumer, partition)
SELECT %(consumer)s, partition FROM partition_head
ON CONFLICT DO NOTHING

-- name: cursors
SELECT partition, output_pos, snapshot_pos FROM scoring_cursor WHERE consumer = %(consumer)s

-- name: entries
SELECT l.partition, l.pos, l.kind, l.batch_id, l.payload
FROM unnest(%(partitions)s::int2[], %(positions)s::int8[]) AS c (partition, pos)
CROSS JOIN LATERAL (
    SELECT * FROM input_log l
    WHERE l.partition = c.partition AND l.pos > c.pos
    ORDER BY l.pos
    LIMIT %(limit)s
) l
ORDER BY l.partition, l.pos

-- name: behind
SELECT coalesce(sum(h.pos - c.pos), 0)::int8
FROM unnest(%(partitions)s::int2[], %(positions)s::int8[]) AS c (partition, pos)
JOIN partition_head h USING (partition)

-- name: frames
SELECT f.batch_id, d.partition, f.device_id, f.boot_id, f.seq,
       (extract(epoch FROM f.ts) * 1000)::int8, f.schema_id, f.phase, f.quality, f.vals
FROM frame f
JOIN device d ON d.id = f.device_id
WHERE f.batch_id = ANY (%(batches)s)
ORDER BY f.batch_id, f.device_id, f.boot_id, f.seq, f.ts

-- name: events
SELECT e.batch_id, d.partition, e.device_id, e.boot_id, e.seq,
       (extract(epoch FROM e.ts) * 1000)::int8, e.code, e.severity, e.component
FROM event e
JOIN device d ON d.id = e.device_id
WHERE e.batch_id = ANY (%(batches)s)
ORDER BY e.batch_id, e.device_id, e.boot_id, e.seq

-- name: put_health
INSERT INTO health (device_id, ts, score, anomalous, top_channel, second_opinion)
VALUES (%(device)s, %(ts)s, %(score)s, %(anomalous)s, %(top_channel)s, %(second_opinion)s)
ON CONFLICT (device_id, ts) DO NOTHING

-- name: put_anomaly
INSERT INTO anomaly (device_id, tenant, timeline, kind, ts, score, top_channel, evidence)
VALUES (%(device)s, %(tenant)s, %(timeline)s, %(kind)s, %(ts)s, %(score)s, %(top_channel)s, %(evidence)s)
ON CONFLICT (device_id, kind, ts) DO NOTHING

-- name: put_hazard
INSERT INTO component_hazard (device_id, component, failure_mode, ts, probability, horizon_h,
                              p10_h, p50_h, p90_h, model_version, abstained)
VALUES (%(device)s, %(component)s, %(failure_mode)s, %(ts)s, %(probability)s, %(horizon_h)s,
        %(p10_h)s, %(p50_h)s, %(p90_h)s, %(version)s, %(abstained)s)
ON CONFLICT (device_id, component, failure_mode) DO UPDATE
SET ts = excluded.ts, probability = excluded.probability, horizon_h = excluded.horizon_h,
    p10_h = excluded.p10_h, p50_h = excluded.p50_h, p90_h = excluded.p90_h,
    model_version = excluded.model_version, abstained = excluded.abstained

-- name: put_prediction
INSERT INTO prediction (device_id, tenant, timeline, component, failure_mode, ts, above, probability,
                        threshold, horizon_h, p10_h, p50_h, p90_h, reasons, model_version)
VALUES (%(device)s, %(tenant)s, %(timeline)s, %(component)s, %(failure_mode)s, %(ts)s, %(above)s,
        %(probability)s, %(threshold)s, %(horizon_h)s, %(p10_h)s, %(p50_h)s, %(p90_h)s, %(reasons)s,
        %(version)s)
ON CONFLICT (device_id, component, failure_mode, ts, model_version) DO NOTHING

-- name: move_cursors
UPDATE scoring_cursor c SET output_pos = w.pos
FROM unnest(%(partitions)s::int2[], %(positions)s::int8[]) AS w (partition, pos)
WHERE c.consumer = %(consumer)s AND c.partition = w.partition

-- name: notify
SELECT pg_notify('foremend_prediction', '')

-- name: snapshots
SELECT partition, subject, state FROM scoring_snapshot WHERE consumer = %(consumer)s

-- name: put_snapshot
INSERT INTO scoring_snapshot (consumer, partition, subject, state)
VALUES (%(consumer)s, %(partition)s, %(subject)s, %(state)s)
ON CONFLICT (consumer, partition, subject) DO UPDATE SET state = excluded.state

-- name: move_snapshots
UPDATE scoring_cursor c SET snapshot_pos = w.pos
FROM unnest(%(partitions)s::int2[], %(positions)s::int8[]) AS w (partition, pos)
WHERE c.consumer = %(consumer)s AND c.partition = w.partition

-- name: heads_for_adoption
UPDATE partition_head h SET pos = pos + 1
FROM (SELECT partition FROM partition_head ORDER BY partition FOR UPDATE) locked
WHERE h.partition = locked.partition
RETURNING h.partition, h.pos

-- name: put_adoption
INSERT INTO input_log (partition, pos, kind, payload)
VALUES (%(partition)s, %(pos)s, %(kind)s, %(payload)s)

-- name: notify_input
SELECT pg_notify('foremend_input', '')
