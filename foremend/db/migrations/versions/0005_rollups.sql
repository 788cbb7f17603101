-- Rollups per minute and hour, how far each was worked out, and the doors through which old sections go.
-- Reached like `frame`: only with the id of a device that was found inside the tenant's wall.

-- A value over 2^24, so that no sum of what a sensor may say overflows. Exact, but that next to nothing is
-- nothing: PostgreSQL refuses a quotient that underflows.
CREATE FUNCTION scaled_down(v float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(v) < 1e-280 THEN 0 ELSE v / 16777216 END;

CREATE TABLE rollup_minute (
    device_id int4 NOT NULL,
    bucket timestamptz NOT NULL,  -- the minute's beginning, on the device's timeline
    schema_id int4 NOT NULL,
    frames int4 NOT NULL,
    phase int2 NOT NULL,          -- the most frequent one
    n int4[] NOT NULL,            -- known values of each channel; what was not read counts for none
    lo float8[] NOT NULL,
    mean float8[] NOT NULL,
    hi float8[] NOT NULL,         -- null where n is 0
    PRIMARY KEY (device_id, bucket, schema_id)
) PARTITION BY RANGE (bucket);

CREATE TABLE rollup_hour (LIKE rollup_minute INCLUDING ALL) PARTITION BY RANGE (bucket);

-- Hours whose minutes have changed since the hour was worked out.
CREATE TABLE rollup_due (
    device_id int4 NOT NULL,
    bucket timestamptz NOT NULL,
    PRIMARY KEY (device_id, bucket)
) WITH (fillfactor = 50);

-- The watermark of upkeep: every batch up to it is in the minutes, and its hours are there or due.
CREATE TABLE rollup_cursor (
    partition int2 PRIMARY KEY,
    pos int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO rollup_cursor (partition) SELECT generate_series(0, 63);

-- What retention has dropped, so that nobody takes it for a loss.
CREATE TABLE dropped_section (
    parent text NOT NULL,         -- frame, rollup_minute or rollup_hour
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,   -- exclusive
    dropped_at timestamptz NOT NULL DEFAULT now(),  -- on the wall clock
    PRIMARY KEY (parent, since, until, dropped_at)
);

-- Minutes lie by month and hours by year.
CREATE FUNCTION ensure_rollup_partitions(months timestamptz[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part record;
BEGIN
    IF cardinality(months) > 1000 THEN
        RAISE EXCEPTION 'rollups of % months at once', cardinality(months);
    END IF;
    FOR part IN
        SELECT 'rollup_minute' AS parent, to_char(m, '"rollup_minute_"YYYY"m"MM') AS name, m AS since,
               m + interval '1 month' AS until
        FROM (SELECT DISTINCT date_trunc('month', w) AS m FROM unnest(months) AS w) monthly
        UNION ALL
        SELECT 'rollup_hour', to_char(y, '"rollup_hour_"YYYY'), y, y + interval '1 year'
        FROM (SELECT DISTINCT date_trunc('year', w) AS y FROM unnest(months) AS w) yearly
    LOOP
        IF to_regclass(part.name) IS NULL THEN
            PERFORM pg_advisory_xact_lock(7461, hashtext(part.name));
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                           part.name, part.parent, part.since, part.until);
        END IF;
    END LOOP;
END
$$;

-- Old sections go through these doors, which the owner keeps: who only runs the services can drop or
-- compress what nobody will read again, and nothing else; each refuses what a consumer of the log still needs.

-- Whether some batch past the oldest snapshot, or past the rollups, has frames in a section.
CREATE FUNCTION frame_section_needed(section regclass) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
    needed boolean;
BEGIN
    -- Without any snapshot, scoring begins at the log's beginning and will read everything.
    IF NOT EXISTS (SELECT FROM scoring_cursor) THEN
        RETURN true;
    END IF;
    EXECUTE format($needed$
        SELECT EXISTS (
            SELECT
            FROM (SELECT partition, min(pos) AS pos
                  FROM (SELECT partition, snapshot_pos AS pos FROM scoring_cursor
                        UNION ALL
                        SELECT partition, pos FROM rollup_cursor) watermarks
                  GROUP BY partition) oldest
            JOIN input_log l ON l.partition = oldest.partition AND l.pos > oldest.pos
            JOIN %s f ON f.batch_id = l.batch_id)
    $needed$, section) INTO needed;
    RETURN needed;
END
$$;

-- The parent, the bounds, and the lock that lets nobody add to a section while it is judged.
CREATE FUNCTION open_section(section regclass, OUT parent text, OUT since timestamptz, OUT until timestamptz)
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    bounds text[];
BEGIN
    SELECT inhparent::regclass::text INTO parent FROM pg_inherits
    WHERE inhrelid = section AND inhparent IN ('frame'::regclass, 'rollup_minute'::regclass, 'rollup_hour'::regclass);
    IF parent IS NULL THEN
        RAISE EXCEPTION '% is no section of frames or rollups', section USING ERRCODE = 'wrong_object_type';
    END IF;
    -- The parent first, as writers take them: the other way round would be a deadlock.
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', section);
    SELECT regexp_match(pg_get_expr(relpartbound, oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') INTO bounds
    FROM pg_class WHERE oid = section;
    since := bounds[1]::timestamptz;
    until := bounds[2]::timestamptz;
    IF bounds IS NULL THEN
        EXECUTE 'SELECT range_start, range_end FROM timescaledb_information.chunks
                 WHERE format(''%I.%I'', chunk_schema, chunk_name)::regclass = $1'
        INTO since, until USING section;
    END IF;
END
$$;

CREATE FUNCTION drop_section(section regclass) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    part record;
    due boolean;
BEGIN
    -- Asked before the lock as well: a section that is needed must not be locked in vain.
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = section AND inhparent = 'frame'::regclass)
       AND frame_section_needed(section) THEN
        RETURN false;
    END IF;
    SELECT * INTO part FROM open_section(section);
    due := part.parent = 'rollup_minute'
           AND EXISTS (SELECT FROM rollup_due WHERE bucket >= part.since AND bucket < part.until);
    IF due OR (part.parent = 'frame' AND frame_section_needed(section)) THEN
        RETURN false;
    END IF;
    IF (SELECT relispartition FROM pg_class WHERE oid = section) THEN
        EXECUTE format('DROP TABLE %s', section);
    ELSE
        EXECUTE 'SELECT count(*) FROM drop_chunks($1, newer_than => $2, older_than => $3)'
        USING part.parent::regclass, part.since, part.until;
    END IF;
    INSERT INTO dropped_section (parent, since, until) VALUES (part.parent, part.since, part.until);
    RETURN true;
END
$$;

CREATE FUNCTION compress_section(section regclass) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    -- Asked before the lock: compression takes a minute, and locks by itself only where it must.
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = section AND inhparent = 'frame'::regclass) THEN
        RAISE EXCEPTION '% is no section of frames', section USING ERRCODE = 'wrong_object_type';
    END IF;
    IF frame_section_needed(section) THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT compress_chunk(%L)', section);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION frame_section_needed, open_section, drop_section, compress_section, ensure_rollup_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_section, compress_section, ensure_rollup_partitions TO foremend_app;
