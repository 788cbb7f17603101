-- People who sign in, what they did, and the walls between tenants.

CREATE TABLE user_account (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    login text NOT NULL UNIQUE,
    password_hash text,           -- argon2id; null where a person signs in elsewhere, or is a program with a token
    token_hash text UNIQUE,       -- SHA-256 of a program's 256-bit token
    role text NOT NULL CHECK (role IN ('engineer', 'dispatcher', 'technician', 'partner', 'owner', 'auditor', 'admin')),
    region text,                  -- null: every region of the tenant
    locale text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

CREATE TABLE session (
    token_hash text PRIMARY KEY,  -- SHA-256 of the cookie's 256-bit token
    user_id int8 NOT NULL REFERENCES user_account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX session_account ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);

-- What throttling of sign-in counts; rows are forgotten after a day.
CREATE TABLE sign_in_failure (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL,          -- as typed, cut to 128 characters
    address text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sign_in_failure_at ON sign_in_failure (at);

CREATE TABLE idempotency (
    tenant text NOT NULL,
    actor text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    status int4,                  -- null while the first request is being worked on
    body jsonb,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, actor, key)
);

CREATE TABLE audit_log (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    previous bytea NOT NULL,
    hash bytea NOT NULL           -- SHA-256 over the previous hash of the tenant and this row
);
CREATE INDEX audit_log_chain ON audit_log (tenant, id);

-- Row-level security: a transaction says whose rows it works on; '*' is for the services,
-- which serve every tenant, and never for a request.
DO $walls$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['device', 'anomaly', 'prediction', 'alert', 'alert_event', 'silence', 'destination',
                             'outbox', 'org_node', 'placement', 'work_order', 'work_order_counter', 'work_order_event', 'finding',
                             'part_movement', 'audit_log', 'idempotency'] LOOP
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
