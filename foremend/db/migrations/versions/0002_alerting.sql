-- Alerts and everything that leaves by the outbox.

CREATE TABLE alert (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    timeline text NOT NULL,
    region text NOT NULL DEFAULT '',
    org_node text,
    device_id int4 NOT NULL REFERENCES device,
    kind text NOT NULL CHECK (kind IN ('failure', 'inspection')),  -- an anomaly alone is an inspection notice
    component text NOT NULL DEFAULT '',
    failure_mode text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('pending', 'firing', 'acknowledged', 'resolved')),
    inhibited_by text,            -- the reason code, while something mutes it
    hits int4 NOT NULL DEFAULT 0, -- evaluations above the threshold in a row
    misses int4 NOT NULL DEFAULT 0,
    below_since timestamptz,      -- since when it stands below the threshold
    opened_at timestamptz NOT NULL,
    fired_at timestamptz,
    updated_at timestamptz NOT NULL,
    resolved_at timestamptz,      -- all on the timeline's clock
    probability real,
    horizon_h real,
    p10_h real,
    p50_h real,
    p90_h real,
    prediction_id int8 REFERENCES prediction,
    model_version text,
    evidence jsonb NOT NULL DEFAULT '[]',
    handled_at timestamptz        -- set by field service once it has acted on the firing alert
);
CREATE UNIQUE INDEX one_open_alert ON alert (timeline, device_id, kind, component, failure_mode)
    WHERE state <> 'resolved';
CREATE INDEX alert_device ON alert (device_id, id);
CREATE INDEX alert_unhandled ON alert (fired_at, id) WHERE handled_at IS NULL AND fired_at IS NOT NULL;

CREATE TABLE alert_event (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id int8 NOT NULL REFERENCES alert,
    tenant text NOT NULL,
    at timestamptz NOT NULL,      -- on the timeline
    wall_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,          -- 'alerting', or a user's login
    action text NOT NULL,
    reason text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_event_alert ON alert_event (alert_id, id);

CREATE TABLE silence (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    matcher jsonb NOT NULL,       -- {device|component|failure_mode|region: value}; all must match
    author text NOT NULL,
    reason text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    weekly boolean NOT NULL DEFAULT false  -- a maintenance window that comes again each week
);

CREATE TABLE destination (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('webhook', 'apprise')),
    url text NOT NULL,
    secrets text[] NOT NULL DEFAULT '{}',  -- Standard Webhooks signing secrets, newest first
    events text[] NOT NULL,       -- CloudEvents types it wants, for example 'work_order.opened'
    disabled_at timestamptz,
    disabled_reason text,
    UNIQUE (tenant, url)
);

CREATE TABLE outbox (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    key text NOT NULL,            -- stable over every retry; the receiver's idempotency key
    destination_id int8 NOT NULL REFERENCES destination,
    event text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts int4 NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    dead_at timestamptz,
    last_error text,
    UNIQUE (destination_id, key)
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE delivered_at IS NULL AND dead_at IS NULL;
