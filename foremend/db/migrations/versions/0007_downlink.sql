-- Devices that prove who they are, commands to them and their configuration.

-- Who holds the token may make itself one device's credentials, once.
CREATE TABLE claim_token (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),  -- SHA-256 of 256 random bits
    tenant text NOT NULL,
    device text NOT NULL,         -- a device's name, or the beginning of names with * at its end
    made_by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_device text,
    used_secret bytea             -- SHA-256: whoever repeats the same request is answered alike
);
CREATE INDEX claim_token_expiry ON claim_token (expires_at);

CREATE TABLE device_credential (
    tenant text NOT NULL,
    device text NOT NULL,
    login text NOT NULL UNIQUE GENERATED ALWAYS AS (device || '@' || tenant) STORED,  -- and MQTT client id
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),   -- SHA-256 of 256 random bits
    mosquitto_hash text NOT NULL, -- the same secret in the form of Mosquitto's password file
    made_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (tenant, device)
);

-- Whatever changes a credential, whoever lets devices in is told.
CREATE FUNCTION tell_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('foremend_access', NEW.login);
    RETURN NEW;
END
$$;
CREATE TRIGGER device_credential_told AFTER INSERT OR UPDATE ON device_credential
    FOR EACH ROW EXECUTE FUNCTION tell_access();

-- The last number given out to a device; never below the clock's milliseconds, so that a database
-- restored from yesterday gives no number twice.
CREATE TABLE downlink_counter (
    tenant text NOT NULL,
    device text NOT NULL,
    counter int8 NOT NULL,
    PRIMARY KEY (tenant, device)
);

CREATE TABLE command (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    timeline text NOT NULL REFERENCES timeline,
    device_id int4 NOT NULL REFERENCES device,
    device text NOT NULL,
    counter int8 NOT NULL,
    kind text NOT NULL,
    args jsonb NOT NULL DEFAULT '{}',
    interlock int2[] NOT NULL DEFAULT '{}',
    issued_at timestamptz NOT NULL,   -- on the device's timeline
    expires_at timestamptz NOT NULL,  -- likewise
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'accepted', 'refused', 'finished', 'failed', 'expired')),
    reason text NOT NULL DEFAULT '',
    details jsonb NOT NULL DEFAULT '{}',
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    payload bytea,                -- signed, made at the first sending; each repeat is identical
    sends int4 NOT NULL DEFAULT 0,
    sent_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    UNIQUE (tenant, device, counter)
);
CREATE INDEX command_open ON command (tenant, device, counter) WHERE state IN ('queued', 'sent', 'accepted');
CREATE INDEX command_device ON command (device_id, asked_at DESC);
CREATE INDEX command_result_command ON command_result (command);

-- What a device should be set to, and what it says that it is set to.
CREATE TABLE twin (
    tenant text NOT NULL,
    timeline text NOT NULL REFERENCES timeline,
    device_id int4 NOT NULL REFERENCES device,
    device text NOT NULL,
    desired jsonb NOT NULL DEFAULT '{}',
    version int8 NOT NULL,        -- of `desired`; rises with each change
    desired_at timestamptz NOT NULL DEFAULT now(),
    desired_by text NOT NULL,
    payload bytea,                -- signed, made at the first sending of this version
    reported jsonb NOT NULL DEFAULT '{}',  -- setting -> 'applied', or why not
    reported_version int8 NOT NULL DEFAULT 0,
    reported_at timestamptz,
    sends int4 NOT NULL DEFAULT 0,
    sent_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, device)
);

DO $walls$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['claim_token', 'device_credential', 'downlink_counter', 'command', 'twin'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$
            CREATE POLICY tenant_wall ON %I
                USING (current_setting('foremend.tenant', true) IN (tenant, '*'))
                WITH CHECK (current_setting('foremend.tenant', true) IN (tenant, '*'))
        $policy$, t);
    END LOOP;
END
$walls$;
