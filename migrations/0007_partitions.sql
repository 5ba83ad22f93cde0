-- The ledger in partitions: what leaves it leaves by time, and nothing ties a partition to anything else.
--
-- `outcomes` is the register of keys, and the only thing that must be unique. `verdicts` and `failures` are cut by the time at
-- which they were recorded, without foreign keys: both rows are written by one statement, and the register says in which
-- partition the other one is. docs/adr/0024-ledger-in-partitions.md

-- What was recorded before stays as it is, under other names, until `assay migrate` has moved it (crates/ledger, `moving`).
ALTER TABLE outcomes RENAME TO earlier_outcomes;
ALTER TABLE verdicts RENAME TO earlier_verdicts;
ALTER TABLE failures RENAME TO earlier_failures;
ALTER INDEX outcomes_pkey RENAME TO earlier_outcomes_pkey;
ALTER INDEX outcomes_id RENAME TO earlier_outcomes_id;
ALTER INDEX verdicts_pkey RENAME TO earlier_verdicts_pkey;
ALTER INDEX verdicts_scored RENAME TO earlier_verdicts_scored;
ALTER INDEX verdicts_object RENAME TO earlier_verdicts_object;
ALTER INDEX verdicts_decided_at RENAME TO earlier_verdicts_decided_at;
ALTER INDEX failures_pkey RENAME TO earlier_failures_pkey;
ALTER INDEX failures_failed_at RENAME TO earlier_failures_failed_at;

-- Wide columns first: so nothing is lost to alignment.
CREATE TABLE outcomes (
    recorded_at   timestamptz NOT NULL,
    generation    bigint      NOT NULL CHECK (generation >= 0),
    outcome_id    uuid        NOT NULL,
    -- Which image the key was given for: version 5 UUID of bucket and key. It tells a repetition from another image that came
    -- under the same key, also when the outcome itself is gone.
    image_binding uuid        NOT NULL,
    kind          smallint    NOT NULL CHECK (kind IN (0, 1)),
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, submission_id, generation)
) PARTITION BY HASH (tenant, submission_id);
COMMENT ON COLUMN outcomes.kind IS '0: a verdict, 1: a failure';
-- Corrections name an outcome by its id.
CREATE INDEX outcomes_id ON outcomes USING hash (outcome_id);
-- Retention looks for keys by their age. Rows come in nearly in that order, so this takes next to nothing.
CREATE INDEX outcomes_recorded_at ON outcomes USING brin (recorded_at);

DO $$
BEGIN
    FOR number IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF outcomes FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            'outcomes_h' || to_char(number, 'FM00'), number
        );
    END LOOP;
END
$$;

-- What people filter on is a column, and stands there only; `remainder` is what else the document says. `document(verdicts)`
-- below puts them together: `SELECT v.document FROM verdicts v`.
CREATE TABLE verdicts (
    recorded_at   timestamptz NOT NULL,
    decided_at    timestamptz NOT NULL,
    generation    bigint      NOT NULL,
    verdict_id    uuid        NOT NULL,
    -- The verdict whose scores were used again.
    reused_from   uuid,
    synthetic     real        NOT NULL,
    logit         real        NOT NULL,
    image_sha256  bytea       NOT NULL,
    model_sha256  bytea       NOT NULL,
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    decision      text        NOT NULL,
    -- NULL unless the decision is synthetic.
    generator     text,
    model_version text        NOT NULL,
    bucket        text        NOT NULL,
    object_key    text        NOT NULL,
    purpose       text        NOT NULL,
    -- json, not jsonb: jsonb would rewrite numbers, and refuses the escaped NUL that metadata may hold. NULL once
    -- [retention] has removed it.
    remainder     json
) PARTITION BY RANGE (recorded_at);

CREATE TABLE failures (
    recorded_at   timestamptz NOT NULL,
    failed_at     timestamptz NOT NULL,
    generation    bigint      NOT NULL,
    failure_id    uuid        NOT NULL,
    retryable     boolean     NOT NULL,
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    code          text        NOT NULL,
    stage         text        NOT NULL,
    bucket        text        NOT NULL,
    object_key    text        NOT NULL,
    purpose       text        NOT NULL,
    -- The outcome itself, byte for byte as it was published; NULL once [retention] has removed it.
    document      json
) PARTITION BY RANGE (recorded_at);

-- By time: for reports, and for whoever comes from the register. Rows come in this order and a transaction's have the same time,
-- so it grows at its end only and takes some 8 bytes a row.
CREATE INDEX verdicts_recorded_at ON verdicts (recorded_at);
CREATE INDEX failures_recorded_at ON failures (recorded_at);
-- The same bytes again. Repetitions are left out: an image that goes round would fill the index with rows that nobody looks for.
CREATE INDEX verdicts_scored ON verdicts USING hash (image_sha256) WHERE reused_from IS NULL;
-- Corrections name an image by its place.
CREATE INDEX verdicts_object ON verdicts USING hash (object_key);

-- Two objects of JSON as one.
CREATE FUNCTION merged(given json, more json) RETURNS json LANGUAGE sql IMMUTABLE AS $$
    SELECT json_object_agg(key, value) FROM (
        SELECT key, value FROM json_each(given) UNION ALL SELECT key, value FROM json_each(more)
    ) AS members
$$;

-- The document `assay.verdict.v1`, unless its metadata holds an escaped NUL, in which PostgreSQL finds nothing (`assay verdict`
-- does); NULL once what no column holds has been removed.
CREATE FUNCTION document(v verdicts) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_object_agg(key, CASE key
        WHEN 'image' THEN merged(json_build_object(
            'bucket', v.bucket, 'key', v.object_key, 'sha256', encode(v.image_sha256, 'hex')), value)
        WHEN 'score' THEN merged(json_build_object('synthetic', v.synthetic, 'logit', v.logit), value)
        WHEN 'model' THEN merged(json_build_object(
            'version', v.model_version, 'sha256', encode(v.model_sha256, 'hex')), value)
        ELSE value
    END) FROM (
        SELECT key, value FROM json_each(json_build_object(
            'schema', 'assay.verdict.v1', 'verdict_id', v.verdict_id, 'submission_id', v.submission_id,
            'tenant', v.tenant, 'generation', v.generation, 'decision', v.decision, 'purpose', v.purpose,
            'reused_from', v.reused_from
        )) WHERE v.remainder IS NOT NULL
        UNION ALL
        SELECT key, value FROM json_each(v.remainder)
    ) AS members
$$;

-- What counts of each submission: of its verdicts the one of the latest generation. A failure takes nothing back.
CREATE VIEW verdicts_in_force AS
SELECT * FROM verdicts AS one
WHERE NOT EXISTS (
    SELECT FROM outcomes AS later
    WHERE later.tenant = one.tenant AND later.submission_id = one.submission_id
        AND later.generation > one.generation AND later.kind = 0
);

-- How many days a new partition holds. Those that are there stay as they are.
CREATE TABLE ledger_layout (partition_days integer NOT NULL CHECK (partition_days BETWEEN 1 AND 366));
INSERT INTO ledger_layout VALUES (7);

-- How far `assay ledger maintain` has come in removing what is not to be kept.
CREATE TABLE ledger_retention (
    what    text        COLLATE "C" NOT NULL,
    whose   text        COLLATE "C" NOT NULL,
    through timestamptz NOT NULL,
    PRIMARY KEY (what, whose)
);

-- The partitions by time, from the catalogue.
CREATE VIEW ledger_partitions AS
SELECT
    parent.relname::text AS parent,
    child.relname::text AS name,
    (regexp_match(bound, $r$FROM \('([^']*)'\)$r$))[1]::timestamptz AS lower,
    (regexp_match(bound, $r$TO \('([^']*)'\)$r$))[1]::timestamptz AS upper,
    inhdetachpending AS detaching
FROM pg_inherits
JOIN pg_class AS parent ON parent.oid = inhparent
JOIN pg_class AS child ON child.oid = inhrelid
CROSS JOIN pg_get_expr(child.relpartbound, child.oid) AS bound
WHERE inhparent IN ('verdicts'::regclass, 'failures'::regclass);

-- Makes the partition that holds a time, unless it is there; gives its end. Attaching, other than creating in place, keeps nobody
-- waiting who reads or writes. Bounds are whole days of UTC, counted from a Monday, and never overlap what is there.
CREATE FUNCTION make_partition(of text, at timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz;
    ends   timestamptz;
    name   text;
BEGIN
    SELECT upper INTO ends FROM ledger_partitions WHERE parent = of AND lower <= at AND at < upper;
    IF FOUND THEN
        RETURN ends;
    END IF;
    -- One after the other: whoever waited here may find it made.
    PERFORM pg_advisory_xact_lock(hashtextextended('assay.partitions.' || current_schema(), 0));
    SELECT upper INTO ends FROM ledger_partitions WHERE parent = of AND lower <= at AND at < upper;
    IF FOUND THEN
        RETURN ends;
    END IF;
    SELECT date_bin(make_interval(days => partition_days), at, '2026-01-05 00:00:00+00') INTO STRICT starts FROM ledger_layout;
    SELECT starts + make_interval(hours => 24 * partition_days) INTO STRICT ends FROM ledger_layout;
    SELECT greatest(starts, max(upper)) INTO starts FROM ledger_partitions WHERE parent = of AND upper <= at;
    SELECT least(ends, min(lower)) INTO ends FROM ledger_partitions WHERE parent = of AND lower > at;
    name := of || to_char(starts AT TIME ZONE 'UTC', '_pYYYYMMDD');
    -- One of this name may have been detached and not be dropped yet.
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        name := name || '_' || floor(extract(epoch FROM clock_timestamp()))::text;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES)', name, of);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', of, name, starts, ends);
    RETURN ends;
END
$$;

-- Makes what is missing from now on through a later time.
CREATE FUNCTION make_partitions(through timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of text;
    at timestamptz;
BEGIN
    FOREACH of IN ARRAY ARRAY['verdicts', 'failures'] LOOP
        at := clock_timestamp();
        WHILE at <= greatest(through, clock_timestamp()) LOOP
            at := make_partition(of, at);
        END LOOP;
    END LOOP;
END
$$;

-- For workers, who own nothing: the partitions of this very moment and no others. It has the rights of the tables' owner.
CREATE FUNCTION make_current_partitions() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT make_partitions(clock_timestamp())';

DO $$
DECLARE
    called text;
BEGIN
    -- Whoever calls them can't put tables of another schema, or temporary ones, in the place of ours.
    FOREACH called IN ARRAY ARRAY['make_partition(text, timestamptz)', 'make_partitions(timestamptz)', 'make_current_partitions()']
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', called, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', called);
    END LOOP;
    -- `merged` is called from `document`, whatever schema its caller looks at.
    EXECUTE format('ALTER FUNCTION document(verdicts) SET search_path = %I, pg_temp', current_schema());
    PERFORM make_partitions(now() + interval '28 days');
END
$$;

-- Outcomes that are not moved yet, with their documents. Empty, and free of cost, when all are.
CREATE VIEW earlier AS
SELECT
    o.tenant, o.submission_id, o.generation, o.kind, o.outcome_id, o.recorded_at,
    v.bucket, v.object_key, v.decided_at, v.document AS verdict, f.document AS failure
FROM earlier_outcomes AS o
LEFT JOIN earlier_verdicts AS v USING (tenant, submission_id, generation)
LEFT JOIN earlier_failures AS f USING (tenant, submission_id, generation);

-- How far the move has come: the last key that was moved, in their order. No row: there is nothing to move.
CREATE TABLE ledger_move (
    tenant        text   COLLATE "C" NOT NULL,
    submission_id text   COLLATE "C" NOT NULL,
    generation    bigint NOT NULL,
    moved         bigint NOT NULL
);
INSERT INTO ledger_move VALUES ('', '', -1, 0);

-- Ends the move: nothing of the tables before is left.
CREATE FUNCTION end_move() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE OR REPLACE VIEW earlier AS
    SELECT
        NULL::text COLLATE "C" AS tenant, NULL::text COLLATE "C" AS submission_id, NULL::bigint AS generation,
        NULL::text COLLATE "C" AS kind, NULL::uuid AS outcome_id, NULL::timestamptz AS recorded_at,
        NULL::text AS bucket, NULL::text AS object_key, NULL::timestamptz AS decided_at, NULL::json AS verdict, NULL::json AS failure
    WHERE false;
    DROP TABLE earlier_verdicts, earlier_failures, earlier_outcomes;
    DELETE FROM ledger_move;
END
$$;
REVOKE ALL ON FUNCTION end_move() FROM PUBLIC;

-- Whoever had rights to the tables before has them to these.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT
            substr(before.relname, length('earlier_') + 1) AS name,
            right_.privilege_type AS privilege,
            CASE right_.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(right_.grantee)) END AS grantee
        FROM pg_class AS before, aclexplode(before.relacl) AS right_
        WHERE before.oid IN ('earlier_outcomes'::regclass, 'earlier_verdicts'::regclass, 'earlier_failures'::regclass)
            AND right_.grantee <> before.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', given.privilege, given.name, given.grantee);
        CONTINUE WHEN given.name <> 'verdicts';
        EXECUTE format('GRANT SELECT ON earlier, verdicts_in_force, ledger_partitions, ledger_move TO %s', given.grantee);
        CONTINUE WHEN given.privilege <> 'INSERT';
        EXECUTE format('GRANT EXECUTE ON FUNCTION make_current_partitions() TO %s', given.grantee);
    END LOOP;
    -- A new database has nothing to move.
    IF NOT EXISTS (SELECT FROM earlier_outcomes) THEN
        PERFORM end_move();
    END IF;
END
$$;
