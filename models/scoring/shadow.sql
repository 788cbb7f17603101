-- A challenger's place in the log and what it would have said.

-- name: begun
SELECT 1 FROM scoring_cursor WHERE consumer = %(consumer)s LIMIT 1

-- name: forget
DELETE FROM scoring_snapshot WHERE consumer = %(consumer)s

-- One statement, so that positions and states are those of one instant of live scoring.
-- name: seed
WITH cursors AS (
    INSERT INTO scoring_cursor (consumer, partition, output_pos, snapshot_pos)
    SELECT %(consumer)s, partition, snapshot_pos, snapshot_pos FROM scoring_cursor WHERE consumer = 'live'
)
INSERT INTO scoring_snapshot (consumer, partition, subject, state)
SELECT %(consumer)s, partition, subject, state FROM scoring_snapshot
WHERE consumer = 'live'
  AND (subject IN ('partition', 'priors') OR subject IN (SELECT id::text FROM device WHERE family = %(cohort)s))

-- Partitions that live scoring had not begun either.
-- name: put_cursors
INSERT INTO scoring_cursor (consumer, partition)
SELECT %(consumer)s, partition FROM partition_head
ON CONFLICT DO NOTHING

-- name: put_prediction
INSERT INTO shadow_prediction (version, device_id, tenant, timeline, component, failure_mode, ts, above, probability,
                               threshold, horizon_h)
VALUES (%(challenger)s, %(device)s, %(tenant)s, %(timeline)s, %(component)s, %(failure_mode)s, %(ts)s, %(above)s,
        %(probability)s, %(threshold)s, %(horizon_h)s)
ON CONFLICT DO NOTHING

-- name: put_seen
INSERT INTO shadow_seen AS s (version, device_id, tenant, since, until)
VALUES (%(challenger)s, %(device)s, %(tenant)s, %(since)s, %(until)s)
ON CONFLICT (version, device_id) DO UPDATE
SET since = least(s.since, excluded.since), until = greatest(s.until, excluded.until)
