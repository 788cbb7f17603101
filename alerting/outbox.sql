-- Delivery of the outbox; alerting alone runs these.
-- name: claim
-- The lease is written before the try: a worker that dies in it leaves the parcel to come back.
WITH due AS (
    SELECT DISTINCT ON (o.destination_id) o.id
    FROM outbox o
    JOIN destination d ON d.id = o.destination_id AND d.disabled_at IS NULL
    WHERE o.delivered_at IS NULL AND o.dead_at IS NULL AND o.next_at <= now()
      AND o.destination_id <> ALL (%(busy)s::int8[])
    ORDER BY o.destination_id, o.id
), mine AS (
    SELECT o.id FROM outbox o JOIN due USING (id)
    WHERE o.delivered_at IS NULL AND o.dead_at IS NULL AND o.next_at <= now()
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE outbox
SET attempts = outbox.attempts + 1, next_at = now() + %(lease)s
FROM mine, destination d
WHERE outbox.id = mine.id AND d.id = outbox.destination_id
RETURNING outbox.id, outbox.tenant, outbox.key, outbox.destination_id, d.kind, d.url, d.secrets,
          outbox.event, outbox.payload, outbox.created_at, outbox.attempts

-- name: delivered
UPDATE outbox SET delivered_at = now(), last_error = NULL WHERE id = %(id)s

-- name: retry
UPDATE outbox SET next_at = now() + %(wait)s, last_error = %(error)s
WHERE id = %(id)s AND delivered_at IS NULL

-- name: dead
UPDATE outbox SET dead_at = now(), last_error = %(error)s
WHERE id = %(id)s AND delivered_at IS NULL

-- name: disable
UPDATE destination SET disabled_at = now(), disabled_reason = %(error)s
WHERE id = %(destination_id)s AND disabled_at IS NULL

-- name: replay
UPDATE outbox SET dead_at = NULL, attempts = 0, next_at = now()
WHERE id = %(id)s AND dead_at IS NOT NULL AND delivered_at IS NULL
RETURNING id

-- name: listen
LISTEN foremend_alert; LISTEN foremend_work_order
