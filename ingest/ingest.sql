-- name: bound_waits
SELECT set_config('lock_timeout', %(lock)s, false), set_config('statement_timeout', %(statement)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle)s, false)

-- name: boots
SELECT d.tenant, d.name, b.name, d.id, b.id, d.partition, d.timeline, b.booted_at, b.birth, t.now_at
FROM boot b
JOIN device d ON d.id = b.device_id
JOIN timeline t ON t.name = d.timeline
JOIN unnest(%(tenants)s::text[], %(devices)s::text[], %(boots)s::text[]) AS w (tenant, device, boot)
  ON (d.tenant, d.name, b.name) = (w.tenant, w.device, w.boot)
ORDER BY b.id

-- name: schemas
SELECT hash, id, jsonb_array_length(channels) FROM channel_schema WHERE hash = ANY (%(hashes)s)

-- name: put_timeline
INSERT INTO timeline (name, kind) VALUES (%(name)s, %(kind)s) ON CONFLICT DO NOTHING

-- name: put_device
INSERT INTO device (tenant, timeline, name, partition, family, model, firmware, last_seen_at)
VALUES (%(tenant)s, %(timeline)s, %(name)s, %(partition)s, %(family)s, %(model)s, %(firmware)s, now())
ON CONFLICT (tenant, timeline, name) DO UPDATE
SET family = excluded.family, model = excluded.model, firmware = excluded.firmware, last_seen_at = now()
RETURNING id

-- name: put_boot
INSERT INTO boot (device_id, name, booted_at, clock, schema_id, agent, birth)
VALUES (%(device_id)s, %(name)s, %(booted_at)s, %(clock)s, %(schema_id)s, %(agent)s, %(birth)s)
ON CONFLICT (device_id, name) DO UPDATE
SET booted_at = CASE boot.clock WHEN 'held' THEN excluded.booted_at ELSE boot.booted_at END,
    clock = excluded.clock, schema_id = excluded.schema_id, birth = excluded.birth
RETURNING id

-- name: put_component
INSERT INTO component (device_id, instance, kind, serial, installed_at)
VALUES (%(device_id)s, %(instance)s, %(kind)s, %(serial)s, %(installed_at)s)
ON CONFLICT (device_id, instance) DO UPDATE
SET kind = excluded.kind,
    serial = excluded.serial,
    installed_at = greatest(excluded.installed_at, component.installed_at)

-- name: replace_component
UPDATE component SET installed_at = %(at)s, serial = %(serial)s
WHERE device_id = %(device_id)s AND instance = %(instance)s
  AND (installed_at IS NULL OR installed_at <= %(at)s)

-- name: next_batch
SELECT nextval('batch_id')

-- name: put_events
INSERT INTO event (device_id, boot_id, seq, ts, code, severity, component, details, batch_id)
VALUES (%(device_id)s, %(boot_id)s, %(seq)s, %(ts)s, %(code)s, %(severity)s, %(component)s, %(details)s, %(batch_id)s)

-- name: put_results
INSERT INTO command_result (device_id, boot_id, seq, ts, command, state, reason, details)
VALUES (%(device_id)s, %(boot_id)s, %(seq)s, %(ts)s, %(command)s, %(state)s, %(reason)s, %(details)s)

-- name: put_gaps
INSERT INTO gap (device_id, boot_id, lost, reason)
VALUES (%(device_id)s, %(boot_id)s, int8range(%(first)s, %(end)s), %(reason)s)
ON CONFLICT DO NOTHING

-- name: put_status
UPDATE device d
SET state = %(state)s, state_at = %(at)s
FROM boot b
WHERE b.device_id = d.id AND (d.tenant, d.name, b.name) = (%(tenant)s, %(device)s, %(boot)s)
  AND (d.state_at IS NULL OR d.state_at <= %(at)s)

-- name: put_quarantine
INSERT INTO quarantine AS q (topic, reason, message, hash, size, head, payload)
VALUES (%(topic)s, %(reason)s, %(message)s, %(hash)s, %(size)s, %(head)s, %(payload)s)
ON CONFLICT (topic, hash) DO UPDATE SET times = q.times + 1, received_at = now(), payload = excluded.payload

-- name: put_schema
WITH fresh AS (
    INSERT INTO channel_schema (hash, channels) VALUES (%(hash)s, %(channels)s)
    ON CONFLICT (hash) DO NOTHING
    RETURNING id
)
SELECT id FROM fresh UNION ALL SELECT id FROM channel_schema WHERE hash = %(hash)s

-- name: lock_receipts
SELECT r.device_id, r.boot_id, r.got::text
FROM receipt r
JOIN unnest(%(devices)s::int4[], %(boots)s::int4[]) AS w (device_id, boot_id)
  USING (device_id, boot_id)
ORDER BY r.device_id, r.boot_id
FOR UPDATE OF r

-- name: see_receipts
SELECT r.device_id, r.boot_id, r.got::text
FROM receipt r
JOIN unnest(%(devices)s::int4[], %(boots)s::int4[]) AS w (device_id, boot_id)
  USING (device_id, boot_id)

-- name: put_receipts
INSERT INTO receipt AS r (device_id, boot_id, got)
SELECT * FROM unnest(%(devices)s::int4[], %(boots)s::int4[], string_to_array(%(got)s, ';')::int8multirange[])
ON CONFLICT (device_id, boot_id) DO UPDATE SET got = r.got + excluded.got

-- name: touch_devices
UPDATE device d
SET last_frame_at = greatest(d.last_frame_at, to_timestamp(w.ms / 1000.0)), last_seen_at = now()
FROM unnest(%(devices)s::int4[], %(ms)s::int8[]) AS w (id, ms)
WHERE d.id = w.id

-- name: advance_timelines
UPDATE timeline t
SET now_at = greatest(t.now_at, to_timestamp(w.ms / 1000.0))
FROM unnest(%(names)s::text[], %(ms)s::int8[]) AS w (name, ms)
WHERE t.name = w.name AND t.kind <> 'live' AND (t.now_at IS NULL OR t.now_at < to_timestamp(w.ms / 1000.0))

-- name: append_log
-- Positions are taken last and in one order, so that they stand in the order in which commits happen and never
-- wait in a circle. A worker whose lease has passed to another one finds the fence moved, and appends too little.
WITH entry AS (
    SELECT *
    FROM unnest(%(partitions)s::int2[], %(ordinals)s::int4[], %(kinds)s::text[], %(batches)s::int8[], %(payloads)s::jsonb[])
        AS e (partition, ordinal, kind, batch_id, payload)
), locked AS (
    SELECT h.partition, h.pos, w.n
    FROM partition_head h
    JOIN (SELECT partition, count(*) AS n FROM entry GROUP BY partition) w USING (partition)
    LEFT JOIN unnest(%(held)s::int2[], %(fences)s::int8[]) AS f (partition, fence) ON f.partition = h.partition
    WHERE h.fence = f.fence OR %(held)s::int2[] IS NULL
    ORDER BY h.partition
    FOR UPDATE OF h
), moved AS (
    UPDATE partition_head h SET pos = h.pos + locked.n
    FROM locked
    WHERE h.partition = locked.partition
    RETURNING h.partition, h.pos - locked.n AS before
)
INSERT INTO input_log (partition, pos, kind, batch_id, payload)
SELECT m.partition, m.before + e.ordinal, e.kind, e.batch_id, e.payload
FROM moved m
JOIN entry e USING (partition)

-- name: notify
SELECT pg_notify('foremend_input', '')
