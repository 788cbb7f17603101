-- Trials of challengers beside the model in force, and proposals to learn anew.

-- Which shadow is scored on live data; its place in the log is the consumer 'shadow:VERSION'.
CREATE TABLE shadow_trial (
    version text PRIMARY KEY REFERENCES model_version ON DELETE CASCADE,
    cohort text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),  -- both on the wall clock
    ended_at timestamptz,
    fault text                    -- why it could not go on
);
CREATE UNIQUE INDEX one_trial ON shadow_trial (cohort) WHERE ended_at IS NULL;

-- What a challenger would have said; nobody is alerted by it.
CREATE TABLE shadow_prediction (
    version text NOT NULL REFERENCES shadow_trial ON DELETE CASCADE,
    device_id int4 NOT NULL REFERENCES device,
    tenant text NOT NULL,
    timeline text NOT NULL,
    component text NOT NULL,
    failure_mode text NOT NULL,
    ts timestamptz NOT NULL,      -- on the timeline, as in `prediction`
    above boolean NOT NULL,
    probability real NOT NULL,
    threshold real NOT NULL,
    horizon_h real NOT NULL,
    PRIMARY KEY (version, device_id, component, failure_mode, ts)
);

-- Over which time a challenger looked at a device: in it, both are judged.
CREATE TABLE shadow_seen (
    version text NOT NULL REFERENCES shadow_trial ON DELETE CASCADE,
    device_id int4 NOT NULL REFERENCES device,
    tenant text NOT NULL,
    since timestamptz NOT NULL,   -- both on the timeline
    until timestamptz NOT NULL,
    PRIMARY KEY (version, device_id)
) WITH (fillfactor = 60);

-- A cohort has drifted, and a person should decide whether its model is learnt anew.
CREATE TABLE retrain_proposal (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    timeline text NOT NULL,
    cohort text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('score_tail', 'residual')),
    reason text NOT NULL,
    version text NOT NULL,        -- the model that was in force
    drifted_at timestamptz NOT NULL,  -- on the timeline
    before real NOT NULL,
    now real NOT NULL,
    devices int4 NOT NULL,        -- that showed it
    proposed_at timestamptz NOT NULL DEFAULT now(),  -- both on the wall clock
    settled_at timestamptz,
    settled_by text               -- the version that was learnt since, or who declined it
);
CREATE UNIQUE INDEX one_open_proposal ON retrain_proposal (tenant, timeline, cohort, kind) WHERE settled_at IS NULL;

DO $walls$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['shadow_prediction', 'shadow_seen', 'retrain_proposal'] LOOP
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
