-- Labels for training: what findings say, as far as it was known in time.
-- name: labels
SELECT tenant, timeline, device_id, device, family, component, failure_mode, as_found, replaced, verified,
       occurred_at, known_at, failed, censored, work_order_id, attempt
FROM failure_label
WHERE known_at <= %(known_by)s AND (%(timeline)s::text IS NULL OR timeline = %(timeline)s)
ORDER BY known_at, finding_id
