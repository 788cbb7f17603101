-- Alerts of faults that devices tell themselves; `alert.failure_mode` then holds the device's own code.

ALTER TABLE alert DROP CONSTRAINT alert_kind_check;
ALTER TABLE alert ADD CONSTRAINT alert_kind_check CHECK (kind IN ('failure', 'inspection', 'fault'));

-- When somebody was first told, on the timeline: the end is told to those alone who heard of the beginning.
ALTER TABLE alert ADD COLUMN told_at timestamptz;
SET LOCAL foremend.tenant = '*';
UPDATE alert SET told_at = fired_at
WHERE state <> 'resolved' AND fired_at IS NOT NULL AND coalesce(inhibited_by, 'open_work_order') = 'open_work_order';

-- Set by alerting once it has seen a critical event. What was stored before counts as seen: nobody is
-- alarmed by history.
ALTER TABLE event ADD COLUMN handled_at timestamptz DEFAULT now();
ALTER TABLE event ALTER COLUMN handled_at DROP DEFAULT;
CREATE INDEX event_unhandled ON event (ts, device_id, boot_id, seq) WHERE handled_at IS NULL AND severity = 'critical';
CREATE INDEX event_code ON event (device_id, code, ts);  -- whether a device has said since that it is well
