-- Waits for whoever works on the same key; then one of the two finds it taken.
-- name: claim
INSERT INTO idempotency (tenant, actor, key, request_hash)
VALUES (%(tenant)s, %(actor)s, %(key)s, %(request_hash)s)
ON CONFLICT (tenant, actor, key) DO NOTHING
RETURNING key

-- name: earlier
SELECT request_hash, status, body, headers
FROM idempotency
WHERE tenant = %(tenant)s AND actor = %(actor)s AND key = %(key)s

-- name: settle
UPDATE idempotency SET status = %(status)s, body = %(body)s, headers = %(headers)s
WHERE tenant = %(tenant)s AND actor = %(actor)s AND key = %(key)s

-- name: forget
DELETE FROM idempotency WHERE created_at < now() - interval '3 days'
