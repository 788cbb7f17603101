-- name: lock_chain
SELECT pg_advisory_xact_lock(7462, hashtext(%(tenant)s))

-- name: last_hash
SELECT hash FROM audit_log WHERE tenant = %(tenant)s ORDER BY id DESC LIMIT 1

-- name: append
INSERT INTO audit_log (at, tenant, actor, action, subject, details, previous, hash)
VALUES (%(at)s, %(tenant)s, %(actor)s, %(action)s, %(subject)s, %(details)s, %(previous)s, %(hash)s)

-- name: chain
SELECT at, tenant, actor, action, subject, details, previous, hash
FROM audit_log WHERE tenant = %(tenant)s ORDER BY id
