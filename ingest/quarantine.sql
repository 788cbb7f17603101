-- What was set aside: looked at, replayed after a fix, and emptied in time.

-- name: listed
SELECT id, received_at, topic, reason, message, size, times, payload IS NOT NULL, replayed_at
FROM quarantine
WHERE (%(reason)s::text IS NULL OR reason = %(reason)s) AND (%(all)s OR replayed_at IS NULL)
ORDER BY id DESC
LIMIT %(limit)s

-- name: shown
SELECT id, received_at, topic, reason, message, size, times, payload IS NOT NULL, replayed_at, hash, coalesce(payload, head)
FROM quarantine
WHERE id = %(id)s

-- name: waiting
SELECT id FROM quarantine
WHERE (%(reason)s::text IS NULL OR reason = %(reason)s) AND replayed_at IS NULL AND payload IS NOT NULL
ORDER BY id

-- name: take
SELECT topic, payload FROM quarantine WHERE id = %(id)s FOR UPDATE

-- name: replayed
UPDATE quarantine SET replayed_at = now() WHERE id = %(id)s

-- name: reopen_gaps
-- What the agent gave up because it was refused is given up no more: the gap that names it is cut.
WITH boot AS (
    SELECT d.id AS device_id, b.id AS boot_id
    FROM device d
    JOIN boot b ON b.device_id = d.id
    WHERE (d.tenant, d.name, b.name) = (%(tenant)s, %(device)s, %(boot)s)
    ORDER BY b.id DESC
    LIMIT 1
), cut AS (
    DELETE FROM gap g USING boot
    WHERE g.device_id = boot.device_id AND g.boot_id = boot.boot_id AND g.lost @> %(seq)s::int8
    RETURNING g.*
), rest AS (
    INSERT INTO gap (device_id, boot_id, lost, reason, noted_at)
    SELECT device_id, boot_id, part, reason, noted_at
    FROM cut
    CROSS JOIN unnest(int8multirange(lost) - int8multirange(int8range(%(seq)s, %(seq)s + 1))) AS part
    ON CONFLICT DO NOTHING
)
UPDATE receipt r SET got = r.got - int8multirange(int8range(%(seq)s, %(seq)s + 1))
FROM cut
WHERE r.device_id = cut.device_id AND r.boot_id = cut.boot_id

-- name: prune
-- Of each the head and the reason stay; the whole messages go by age, and the oldest first by size.
UPDATE quarantine q SET payload = NULL
FROM (
    SELECT id, received_at, sum(octet_length(payload)) OVER (ORDER BY received_at DESC, id DESC) AS newer
    FROM quarantine
    WHERE payload IS NOT NULL
) kept
WHERE q.id = kept.id
  AND (kept.received_at < now() - make_interval(days => %(days)s) OR kept.newer > %(bytes)s)

-- name: prune_heads
DELETE FROM quarantine
WHERE id <= (SELECT max(id) FROM quarantine) - %(rows)s
