-- The service network, parts, work orders and findings.

CREATE TABLE org_node (
    tenant text NOT NULL,
    id text NOT NULL,
    parent text,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('hq', 'regional_centre', 'local_node')),
    operated_by text NOT NULL CHECK (operated_by IN ('own', 'outsourced', 'dealer', 'community')),
    region text NOT NULL,
    country text,
    currency text NOT NULL DEFAULT 'USD',
    time_zone text NOT NULL DEFAULT 'UTC',
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, parent) REFERENCES org_node
);

-- Site, owner and node are dated attributes: devices are sold and moved.
CREATE TABLE placement (
    device_id int4 NOT NULL REFERENCES device,
    tenant text NOT NULL,
    region text NOT NULL,
    org_node text,
    site text NOT NULL DEFAULT '',
    country text NOT NULL DEFAULT '',
    contract text NOT NULL DEFAULT 'standard',
    warranty_until timestamptz,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (device_id, valid_from),
    FOREIGN KEY (tenant, org_node) REFERENCES org_node
);
CREATE UNIQUE INDEX one_present_placement ON placement (device_id) WHERE valid_to IS NULL;

CREATE TABLE work_order (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    number int8 NOT NULL,         -- WO-{number}, counted per tenant
    timeline text NOT NULL,
    region text NOT NULL,
    org_node text,
    device_id int4 NOT NULL REFERENCES device,
    component text NOT NULL,
    failure_mode text NOT NULL,
    alert_id int8 REFERENCES alert,
    kind text NOT NULL DEFAULT 'predictive' CHECK (kind IN ('predictive', 'reactive', 'maintenance')),
    state text NOT NULL CHECK (state IN ('proposed', 'remote_fix', 'qualified', 'offered', 'accepted',
        'parts_pending', 'in_progress', 'verifying', 'closed', 'on_hold', 'cannot_complete', 'merged', 'cancelled')),
    opened_at timestamptz NOT NULL,
    state_at timestamptz NOT NULL,
    held_from text,               -- the state to go back to after on_hold
    fitted_at timestamptz,        -- when the part went in, as far as known
    verify_until timestamptz,     -- all on the timeline's clock
    strategy text,
    kit text,
    kit_revision int4,
    cost numeric(12, 2),
    currency text,
    options jsonb NOT NULL DEFAULT '[]',  -- every strategy with its cost or the reason it fell out, best first
    probability real,
    horizon_h real,
    p10_h real,
    p50_h real,
    p90_h real,
    evidence jsonb NOT NULL DEFAULT '[]',
    model_version text,
    assignee text,
    as_found text CHECK (as_found IN ('failed', 'degraded', 'no_fault_found')),
    reopened int4 NOT NULL DEFAULT 0,
    version int4 NOT NULL DEFAULT 1,      -- for optimistic concurrency; the API's ETag
    UNIQUE (tenant, number)
);
CREATE UNIQUE INDEX one_open_work_order ON work_order (timeline, device_id, component, failure_mode)
    WHERE state NOT IN ('closed', 'merged', 'cancelled');
CREATE INDEX work_order_state ON work_order (state, state_at);

CREATE TABLE work_order_counter (
    tenant text PRIMARY KEY,
    last int8 NOT NULL
);

-- The append-only ledger; every SLA clock and turnaround time is computed from it.
CREATE TABLE work_order_event (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_order_id int8 NOT NULL REFERENCES work_order,
    tenant text NOT NULL,
    at timestamptz NOT NULL,      -- on the timeline
    wall_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    from_state text,
    to_state text NOT NULL,
    reason text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX work_order_event_order ON work_order_event (work_order_id, id);

CREATE TABLE finding (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_order_id int8 NOT NULL REFERENCES work_order,
    attempt int4 NOT NULL DEFAULT 1,  -- a reopened order is fitted again
    tenant text NOT NULL,
    timeline text NOT NULL,
    device_id int4 NOT NULL REFERENCES device,
    component text NOT NULL,      -- the component that was looked at or replaced
    failure_mode text NOT NULL,
    as_found text NOT NULL CHECK (as_found IN ('failed', 'degraded', 'no_fault_found')),
    kit text,
    replaced boolean NOT NULL,
    note text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    verified text CHECK (verified IN ('recovered', 'not_recovered', 'no_telemetry')),
    UNIQUE (work_order_id, attempt)
);

CREATE TABLE part_movement (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    org_node text NOT NULL,
    kit text NOT NULL,
    quantity int4 NOT NULL,       -- positive into the node's stock, negative out of it, 0 for use
    kind text NOT NULL CHECK (kind IN ('opening', 'receipt', 'reserve', 'release', 'ship', 'return', 'use')),
    owner text NOT NULL DEFAULT 'ours' CHECK (owner IN ('ours', 'deposit', 'bought_out')),
    work_order_id int8 REFERENCES work_order,
    at timestamptz NOT NULL,
    wall_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant, org_node) REFERENCES org_node
);
CREATE INDEX part_movement_stock ON part_movement (tenant, org_node, kit);
CREATE INDEX part_movement_order ON part_movement (work_order_id) WHERE work_order_id IS NOT NULL;

-- What findings say to training. A replacement that found nothing says only that the part had not
-- failed until then, and a repair that telemetry did not confirm leaves the cause open: censored.
CREATE VIEW failure_label WITH (security_invoker = true) AS
SELECT f.id AS finding_id, f.work_order_id, f.attempt, f.tenant, f.timeline, f.device_id, d.name AS device,
       d.family, f.component, f.failure_mode, f.as_found, f.replaced, f.verified, f.occurred_at, f.known_at,
       f.as_found IN ('failed', 'degraded') AND f.verified IS DISTINCT FROM 'not_recovered' AS failed,
       (f.as_found = 'no_fault_found' AND f.replaced)
           OR (f.as_found <> 'no_fault_found' AND f.verified IS NOT DISTINCT FROM 'not_recovered') AS censored
FROM finding f JOIN device d ON d.id = f.device_id;
