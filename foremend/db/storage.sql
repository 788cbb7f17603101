-- Frames lie in a hypertable of TimescaleDB or in native weekly partitions; nobody else needs to know.
-- name: in_use
-- The preload list may be read by few roles; the loader's own setting exists for all, once it is loaded.
SELECT current_setting('server_version'),
       (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.frame')),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       current_setting('timescaledb.max_background_workers', true) IS NOT NULL,
       current_setting('timescaledb.license', true)

-- name: ensure_room
SELECT ensure_frame_partitions(%(since)s, %(until)s)

-- name: copy_frames
COPY frame (device_id, ts, boot_id, seq, schema_id, phase, quality, batch_id, vals) FROM STDIN (FORMAT binary)

-- name: native_sections
WITH section AS (
    SELECT c.oid, regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') AS bounds
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = %(parent)s::regclass
)
SELECT oid::regclass::text, bounds[1]::timestamptz AS since, bounds[2]::timestamptz,
       pg_total_relation_size(oid), false
FROM section
ORDER BY since

-- name: timescaledb_sections
SELECT format('%%I.%%I', c.chunk_schema, c.chunk_name), c.range_start, c.range_end, s.total_bytes, c.is_compressed
FROM timescaledb_information.chunks c
JOIN chunks_detailed_size('public.frame') s USING (chunk_schema, chunk_name)
WHERE c.hypertable_schema = 'public' AND c.hypertable_name = 'frame'
ORDER BY c.range_start

-- name: drop
SELECT drop_section(%(name)s::regclass)

-- name: compress
SELECT compress_section(%(name)s::regclass)

-- name: floors
SELECT parent, max(until) FROM dropped_section GROUP BY parent
