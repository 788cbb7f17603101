-- What is to be sent, and what devices answered. The clock of a command is its device's timeline.
-- name: listen
LISTEN foremend_downlink

-- A final answer outweighs `accepted`, in whatever order the two were stored; an answer that comes
-- after the expiry still counts, since the device took the command in time.
-- name: follow
UPDATE command c
SET state = r.state, reason = r.reason, details = r.details,
    settled_at = CASE WHEN r.state = 'accepted' THEN NULL ELSE now() END
FROM (SELECT DISTINCT ON (o.id) o.id, a.state, a.reason, a.details
      FROM command o
      JOIN command_result a ON a.command = o.id
      JOIN device d ON d.id = a.device_id AND d.tenant = o.tenant AND d.name = o.device
      WHERE o.state IN ('queued', 'sent', 'accepted')
         OR (o.state = 'expired' AND o.settled_at > now() - interval '1 day')
      ORDER BY o.id, (a.state = 'accepted'), a.ts) r
WHERE c.id = r.id AND c.state <> r.state

-- name: expire
UPDATE command c
SET state = 'expired', reason = CASE WHEN c.sends = 0 THEN 'never_sent' ELSE 'no_answer' END, settled_at = now()
FROM timeline t
WHERE t.name = c.timeline AND c.state IN ('queued', 'sent')
  AND c.expires_at <= coalesce(t.now_at, now())

-- name: give_up
-- Accepted, and then never heard of again: the device lost its memory, or is gone.
UPDATE command
SET state = 'failed', reason = 'no_answer', settled_at = now()
WHERE state = 'accepted' AND sent_at < now() - interval '1 hour'

-- One at a time to each device, in the order of their numbers: the device refuses what it has passed.
-- name: due_commands
SELECT c.id, c.tenant, c.device, c.counter, c.kind, c.args, c.interlock, c.issued_at, c.expires_at, c.payload, c.sends
FROM command c
JOIN device d ON d.id = c.device_id
WHERE c.state IN ('queued', 'sent')
  AND NOT EXISTS (SELECT FROM command e
                  WHERE e.tenant = c.tenant AND e.device = c.device AND e.counter < c.counter
                    AND e.state IN ('queued', 'sent', 'accepted'))
  AND (c.next_at <= now() OR (d.state = 'online' AND d.last_seen_at > c.sent_at AND d.state_at > c.sent_at))
ORDER BY c.next_at
LIMIT %(most)s
FOR UPDATE OF c SKIP LOCKED

-- name: command_sent
UPDATE command
SET state = 'sent', payload = %(payload)s, sends = sends + 1, sent_at = now(),
    next_at = now() + make_interval(secs => %(again_s)s)
WHERE id = %(id)s

-- name: follow_twins
UPDATE twin t
SET reported = CASE WHEN r.state = 'refused' THEN jsonb_build_object('refused', r.reason) ELSE r.details END,
    reported_version = t.version, reported_at = now()
FROM (SELECT DISTINCT ON (w.tenant, w.device) w.tenant, w.device, w.version, a.state, a.reason, a.details
      FROM twin w
      JOIN command_result a ON a.command = 'config-' || w.version
      JOIN device d ON d.id = a.device_id AND d.tenant = w.tenant AND d.name = w.device
      WHERE w.reported_version < w.version AND a.state IN ('finished', 'refused')
      ORDER BY w.tenant, w.device, a.ts DESC) r
WHERE t.tenant = r.tenant AND t.device = r.device AND t.version = r.version

-- name: due_twins
SELECT w.tenant, w.device, w.version, w.desired, w.desired_at, w.payload, w.sends
FROM twin w
JOIN device d ON d.id = w.device_id
WHERE w.reported_version < w.version
  AND (w.next_at <= now() OR (d.state = 'online' AND d.state_at > w.sent_at))
ORDER BY w.next_at
LIMIT %(most)s
FOR UPDATE OF w SKIP LOCKED

-- name: twin_sent
UPDATE twin
SET payload = %(payload)s, sends = sends + 1, sent_at = now(),
    next_at = now() + make_interval(secs => %(again_s)s)
WHERE tenant = %(tenant)s AND device = %(device)s AND version = %(version)s
