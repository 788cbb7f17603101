-- name: snapshot
SELECT pg_export_snapshot()

-- What an extension keeps in its own schemas is its own; sections are counted with their parents.
-- name: tables
SELECT c.relname
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname

-- Sums of hashes do not ask in which order rows lie.
-- name: content
SELECT count(*), coalesce(sum(hash_record_extended(t, 1)), 0), coalesce(sum(hash_record_extended(t, 2)), 0)
FROM {table} t

-- name: sequences
SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename

-- name: roles
SELECT rolname FROM pg_roles WHERE rolname = ANY (%(names)s)

-- name: create_timescale
CREATE EXTENSION timescaledb VERSION {version}

-- name: available
SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb'

-- name: pre_restore
SELECT timescaledb_pre_restore()

-- name: post_restore
SELECT timescaledb_post_restore()

-- name: analyze
ANALYZE
