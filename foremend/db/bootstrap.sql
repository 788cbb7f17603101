-- Run once by a superuser (or whoever may create roles) on a new database.
-- name: role_exists
SELECT 1 FROM pg_roles WHERE rolname = %(role)s

-- name: timescale_loaded
SELECT default_version FROM pg_available_extensions
WHERE name = 'timescaledb' AND current_setting('shared_preload_libraries') ~ '\mtimescaledb\M'

-- name: native_already
SELECT 1 FROM pg_class WHERE oid = to_regclass('public.frame') AND relkind = 'p'

-- name: create_timescale
CREATE EXTENSION IF NOT EXISTS timescaledb

-- name: database_exists
SELECT 1 FROM pg_database WHERE datname = %(name)s

-- name: revision
SELECT version_num FROM alembic_version
