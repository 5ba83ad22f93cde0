-- Erasure: what is known of a submission goes, and a mark stays by which a repetition of it is known and not judged again.

-- One row. With it a mark tells nothing to whoever has the marks alone.
CREATE TABLE erasure_salt (salt bytea NOT NULL CHECK (length(salt) = 32));
INSERT INTO erasure_salt SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- The marks. docs/adr/0026-erasure.md
CREATE TABLE erased (
    erased_at  timestamptz NOT NULL DEFAULT now(),
    -- sha256 of salt, tenant, NUL and submission: for all its generations.
    mark       bytea       PRIMARY KEY,
    erasure_id uuid        NOT NULL
);

-- What was asked for, how far it has come, and the receipt.
CREATE TABLE erasures (
    erasure_id  uuid        PRIMARY KEY,
    tenant      text        COLLATE "C" NOT NULL,
    -- sha256 of salt and what was selected: by it a command that was stopped is known again when it is given again.
    selection   bytea       NOT NULL,
    actor       text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    submissions bigint      NOT NULL DEFAULT 0,
    verdicts    bigint      NOT NULL DEFAULT 0,
    failures    bigint      NOT NULL DEFAULT 0,
    labels      bigint      NOT NULL DEFAULT 0,
    labels_kept bigint      NOT NULL DEFAULT 0,
    files       bigint      NOT NULL DEFAULT 0,
    models      text[]      NOT NULL DEFAULT '{}',
    -- Once it is finished.
    receipt     json
);
CREATE UNIQUE INDEX erasures_unfinished ON erasures (selection) WHERE finished_at IS NULL;

-- Labels of an outcome, and of a place, wherever the bytes were.
CREATE INDEX labels_by_verdict ON labels USING hash (verdict_id) WHERE verdict_id IS NOT NULL;
CREATE INDEX labels_by_location ON labels USING hash (location);

-- Whoever reads the register reads the marks: a key is free only if it has none.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT CASE right_.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(right_.grantee)) END AS grantee
        FROM pg_class AS register, aclexplode(register.relacl) AS right_
        WHERE register.oid = 'outcomes'::regclass AND right_.privilege_type = 'SELECT' AND right_.grantee <> register.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON erased, erasure_salt TO %s', given.grantee);
    END LOOP;
END
$$;
