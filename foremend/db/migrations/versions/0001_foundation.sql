-- Devices, telemetry, receipts, the input log and what scoring writes.
-- `frame` is a hypertable where TimescaleDB is installed, and natively partitioned by week elsewhere.

CREATE TABLE timeline (
    name text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('live', 'replay', 'sim')),
    now_at timestamptz            -- the timeline's own clock; null for live, whose clock is the wall
);

CREATE TABLE device (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    timeline text NOT NULL REFERENCES timeline,
    name text NOT NULL,
    partition int2 NOT NULL CHECK (partition BETWEEN 0 AND 63),
    family text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    firmware text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'online', 'offline')),
    state_at timestamptz,
    last_frame_at timestamptz,    -- on the device's timeline
    last_seen_at timestamptz,     -- on the wall clock
    UNIQUE (tenant, timeline, name)
);
CREATE INDEX device_partition ON device (partition);

CREATE TABLE channel_schema (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash text NOT NULL UNIQUE,
    channels jsonb NOT NULL
);

CREATE TABLE boot (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id int4 NOT NULL REFERENCES device,
    name text NOT NULL,
    booted_at timestamptz NOT NULL,
    clock text NOT NULL,
    schema_id int4 NOT NULL REFERENCES channel_schema,
    agent text NOT NULL DEFAULT '',
    birth text NOT NULL,          -- digest of the birth message
    known_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, name)
);

CREATE TABLE component (
    device_id int4 NOT NULL REFERENCES device,
    instance text NOT NULL,
    kind text NOT NULL,
    serial text,
    installed_at timestamptz,
    PRIMARY KEY (device_id, instance)
);

CREATE SEQUENCE batch_id AS int8;

DO $layout$
BEGIN
    EXECUTE format($frame$
        CREATE TABLE frame (
            device_id int4 NOT NULL,
            ts timestamptz NOT NULL,
            boot_id int4 NOT NULL,
            seq int8 NOT NULL,
            schema_id int4 NOT NULL,
            phase int2 NOT NULL,
            quality int2 NOT NULL,
            batch_id int8 NOT NULL,
            vals float8[] NOT NULL
        ) %s
    $frame$, CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
             THEN '' ELSE 'PARTITION BY RANGE (ts)' END);
END
$layout$;
CREATE UNIQUE INDEX frame_identity ON frame (device_id, ts, boot_id, seq);
CREATE INDEX frame_batch ON frame (batch_id);

CREATE TABLE event (
    device_id int4 NOT NULL REFERENCES device,
    boot_id int4 NOT NULL REFERENCES boot,
    seq int8 NOT NULL,
    ts timestamptz NOT NULL,
    known_at timestamptz NOT NULL DEFAULT now(),
    code text NOT NULL,
    severity text NOT NULL,
    component text,
    details jsonb NOT NULL DEFAULT '{}',
    batch_id int8 NOT NULL,
    PRIMARY KEY (device_id, boot_id, seq)
);
CREATE INDEX event_batch ON event (batch_id);
CREATE INDEX event_device ON event (device_id, ts DESC);

CREATE TABLE command_result (
    device_id int4 NOT NULL REFERENCES device,
    boot_id int4 NOT NULL REFERENCES boot,
    seq int8 NOT NULL,
    ts timestamptz NOT NULL,
    command text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL,
    PRIMARY KEY (device_id, boot_id, seq)
);

CREATE TABLE receipt (
    device_id int4 NOT NULL REFERENCES device,
    boot_id int4 NOT NULL REFERENCES boot,
    got int8multirange NOT NULL,  -- every seq that is settled: stored, or given up in a recorded gap
    PRIMARY KEY (device_id, boot_id)
) WITH (fillfactor = 50);

CREATE TABLE gap (
    device_id int4 NOT NULL REFERENCES device,
    boot_id int4 NOT NULL REFERENCES boot,
    lost int8range NOT NULL,
    reason text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, boot_id, lost)
);

CREATE TABLE quarantine (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    hash text NOT NULL,
    size int4 NOT NULL,
    head bytea NOT NULL,          -- the first 4 KiB
    times int4 NOT NULL DEFAULT 1,
    replayed_at timestamptz,
    UNIQUE (topic, hash)
);

CREATE TABLE partition_head (
    partition int2 PRIMARY KEY,
    pos int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO partition_head (partition) SELECT generate_series(0, 63);

-- What scoring reads. Positions of a partition have no gaps and stand in commit order.
CREATE TABLE input_log (
    partition int2 NOT NULL,
    pos int8 NOT NULL,
    kind text NOT NULL CHECK (kind IN ('batch', 'birth', 'model', 'prior', 'config')),
    batch_id int8,                -- of kind batch: its frames and events
    payload jsonb NOT NULL DEFAULT '{}',
    logged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, pos)
);

CREATE TABLE scoring_cursor (
    consumer text NOT NULL,       -- 'live', or a shadow's or a backtest's name
    partition int2 NOT NULL,
    output_pos int8 NOT NULL DEFAULT 0,
    snapshot_pos int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, partition)
) WITH (fillfactor = 50);

CREATE TABLE scoring_snapshot (
    consumer text NOT NULL,
    partition int2 NOT NULL,
    subject text NOT NULL,        -- a device's id, or 'partition' for what its devices share
    state bytea NOT NULL,
    PRIMARY KEY (consumer, partition, subject)
);

-- One row a device and evaluation: what the charts and the fleet page show.
CREATE TABLE health (
    device_id int4 NOT NULL REFERENCES device,
    ts timestamptz NOT NULL,
    score real NOT NULL,          -- largest calibrated anomaly score since the row before
    anomalous boolean NOT NULL,
    top_channel text,
    second_opinion real,          -- the river detector's score
    PRIMARY KEY (device_id, ts)
);

CREATE TABLE anomaly (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id int4 NOT NULL REFERENCES device,
    tenant text NOT NULL,
    timeline text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('alarm', 'cleared', 'drift')),
    ts timestamptz NOT NULL,
    score real NOT NULL,
    top_channel text,
    evidence jsonb NOT NULL DEFAULT '{}',
    handled_at timestamptz,       -- set by alerting
    UNIQUE (device_id, kind, ts)
);
CREATE INDEX anomaly_unhandled ON anomaly (id) WHERE handled_at IS NULL;

-- The latest word on each component.
CREATE TABLE component_hazard (
    device_id int4 NOT NULL REFERENCES device,
    component text NOT NULL,
    failure_mode text NOT NULL,
    ts timestamptz NOT NULL,
    probability real,             -- of failing within horizon_h; null where the model abstains
    horizon_h real NOT NULL,
    p10_h real,
    p50_h real,
    p90_h real,                   -- hours to failure; null where the model abstains
    model_version text NOT NULL,
    abstained text,               -- the reason, where the model knows too little
    PRIMARY KEY (device_id, component, failure_mode)
) WITH (fillfactor = 60);

-- Each evaluation that stands above the model's threshold, and the first below it afterwards.
CREATE TABLE prediction (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id int4 NOT NULL REFERENCES device,
    tenant text NOT NULL,
    timeline text NOT NULL,
    component text NOT NULL,
    failure_mode text NOT NULL,
    ts timestamptz NOT NULL,      -- on the timeline: when it could have been said
    above boolean NOT NULL,       -- false: the risk has passed below the threshold again
    probability real NOT NULL,
    threshold real NOT NULL,
    horizon_h real NOT NULL,
    p10_h real,
    p50_h real,
    p90_h real,
    reasons jsonb NOT NULL,       -- list of {kind, subject, weight, parameters}, strongest first
    model_version text NOT NULL,
    known_at timestamptz NOT NULL DEFAULT now(),
    handled_at timestamptz,       -- set by alerting
    UNIQUE (device_id, component, failure_mode, ts, model_version)
);
CREATE INDEX prediction_unhandled ON prediction (id) WHERE handled_at IS NULL;
CREATE INDEX prediction_device ON prediction (device_id, ts DESC);

CREATE TABLE model_version (
    version text PRIMARY KEY,     -- first 12 hexadecimal digits of sha256
    kind text NOT NULL,           -- 'failure', 'prior', 'rul', ...
    cohort text NOT NULL,         -- the device family it serves
    stage text NOT NULL CHECK (stage IN ('shadow', 'champion', 'retired')),
    sha256 text NOT NULL,
    artefact bytea NOT NULL,
    kid text NOT NULL,
    signature bytea NOT NULL,     -- Ed25519 over sha256, kind, cohort and meta
    meta jsonb NOT NULL,          -- data window, code and library versions, metrics, lineage
    created_at timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz,
    replaces text REFERENCES model_version
);
CREATE UNIQUE INDEX one_champion ON model_version (kind, cohort) WHERE stage = 'champion';

-- Partitions are made by whoever stores, through this owner-run door; a no-op on TimescaleDB.
CREATE FUNCTION ensure_frame_partitions(first timestamptz, last timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    week timestamptz := date_trunc('week', first, 'UTC');
    name text;
BEGIN
    -- Asked of the table, not of the extension, which somebody may add to a database later on.
    IF (SELECT relkind FROM pg_class WHERE oid = 'frame'::regclass) <> 'p' THEN
        RETURN;
    END IF;
    IF last - first > interval '400 weeks' THEN
        RAISE EXCEPTION 'frames from % to % are more than 400 weeks apart', first, last;
    END IF;
    WHILE week <= last LOOP
        name := 'frame_' || to_char(week AT TIME ZONE 'UTC', 'IYYY"w"IW');
        IF to_regclass(name) IS NULL THEN
            PERFORM pg_advisory_xact_lock(7461, hashtext(name));
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF frame FOR VALUES FROM (%L) TO (%L)',
                           name, week, week + interval '7 days');
        END IF;
        week := week + interval '7 days';
    END LOOP;
END
$$;

DO $hypertable$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('frame', by_range('ts', interval '7 days'), create_default_indexes => false);
        IF current_setting('timescaledb.license', true) = 'timescale' THEN
            -- No policy: policies follow the server's wall clock, and a replayed or simulated
            -- timeline would be compressed at once. Housekeeping converts chunks by timeline.
            ALTER TABLE frame SET (timescaledb.compress, timescaledb.compress_segmentby = 'device_id',
                                   timescaledb.compress_orderby = 'ts, boot_id, seq');
        END IF;
    END IF;
END
$hypertable$;
