-- name: enqueue
INSERT INTO outbox (tenant, key, destination_id, event, payload)
SELECT tenant, %(key)s, id, %(event)s, %(payload)s
FROM destination
WHERE tenant = %(tenant)s AND %(event)s = ANY (events) AND disabled_at IS NULL
ON CONFLICT (destination_id, key) DO NOTHING
