-- name: set_tenant
SELECT set_config('foremend.tenant', %(tenant)s, true)
