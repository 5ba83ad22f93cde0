-- Who is asking, and what they may do: people, what a request of theirs proves, the roles that this gives, and what they did.

-- One row. With it a pseudonym tells nothing to whoever has the pseudonyms alone.
CREATE TABLE people_salt (salt bytea NOT NULL CHECK (length(salt) = 32));
INSERT INTO people_salt SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

CREATE TABLE people (
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    -- "issuer subject", `proxy:USER`, `trial:NAME` or `command:ACTOR`.
    person        text        COLLATE "C" PRIMARY KEY,
    -- What is told to the outside: `pseudonym_of`.
    pseudonym     text        COLLATE "C" NOT NULL UNIQUE,
    name          text,
    prefs         json        NOT NULL DEFAULT '{}'
);

CREATE FUNCTION pseudonym_of(of_person text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'r-' || left(encode(sha256(salt || convert_to(of_person, 'UTF8')), 'hex'), 10) FROM people_salt
$$;

-- Removed some time after they have ended: nothing refers to them by a foreign key but their grants.
CREATE TABLE accesses (
    access_id    uuid        PRIMARY KEY,
    made_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    -- Moves on with each use; NULL: it may lie unused until it expires.
    idle_until   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    kind         text        COLLATE "C" NOT NULL CHECK (kind IN ('session', 'token', 'trial', 'proxy', 'command')),
    person       text        COLLATE "C" NOT NULL REFERENCES people,
    -- SHA-256 of the secret of a cookie or a token. Of the other kinds, which have none: of whose they are and what they grant.
    secret       bytea       UNIQUE CHECK (length(secret) = 32),
    -- Of tokens.
    name         text
);
CREATE INDEX accesses_person ON accesses (person, made_at);

CREATE TABLE access_grants (
    access_id uuid     NOT NULL REFERENCES accesses ON DELETE CASCADE,
    role      smallint NOT NULL CHECK (role BETWEEN 1 AND 4),
    tenant    text     COLLATE "C" NOT NULL,
    PRIMARY KEY (access_id, role, tenant)
);
COMMENT ON COLUMN access_grants.role IS '1: viewer, 2: reviewer, 3: lead, 4: admin';
COMMENT ON COLUMN access_grants.tenant IS '*: all of them';

-- Sign-ins that went to the issuer and did not come back yet. Each is taken once.
CREATE TABLE sign_ins (
    expires_at timestamptz NOT NULL,
    state_hash bytea       PRIMARY KEY CHECK (length(state_hash) = 32),
    verifier   text        NOT NULL,
    nonce      text        NOT NULL,
    next       text        NOT NULL
);
CREATE INDEX sign_ins_expires_at ON sign_ins (expires_at);

-- Rows are only ever added.
CREATE TABLE audit_log (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    access_id     uuid        NOT NULL,
    item_id       uuid,
    person        text        COLLATE "C" NOT NULL,
    what          text        COLLATE "C" NOT NULL,
    tenant        text        COLLATE "C",
    submission_id text        COLLATE "C",
    detail        json
);
CREATE INDEX audit_log_at ON audit_log USING brin (at);
CREATE INDEX audit_log_person ON audit_log (person, id);
CREATE INDEX audit_log_submission ON audit_log (submission_id, id) WHERE submission_id IS NOT NULL;

-- What still opens something, by the database's clock.
CREATE VIEW accesses_in_force AS
SELECT * FROM accesses
WHERE revoked_at IS NULL
    AND expires_at > statement_timestamp()
    AND (idle_until IS NULL OR idle_until > statement_timestamp());

-- The highest role that an access gives for a tenant; 0: none. For '*' or NULL, what a role for all tenants gives.
CREATE FUNCTION role_in(access uuid, of_tenant text) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(role), 0::smallint)
    FROM accesses_in_force JOIN access_grants USING (access_id)
    WHERE access_id = access AND (tenant = '*' OR tenant = of_tenant)
$$;

-- Whether an access gives this role, or a higher one, for a tenant.
CREATE FUNCTION may(access uuid, needed smallint, of_tenant text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(needed BETWEEN 1 AND role_in(access, of_tenant), false)
$$;

-- The tenants for which an access gives this role, or a higher one; {*}: all of them.
CREATE FUNCTION tenants_of(access uuid, needed smallint) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN bool_or(tenant = '*') THEN ARRAY['*'] ELSE coalesce(array_agg(DISTINCT tenant), ARRAY[]::text[]) END
    FROM accesses_in_force JOIN access_grants USING (access_id)
    WHERE access_id = access AND needed BETWEEN 1 AND role
$$;

DO $$
DECLARE
    called text;
BEGIN
    -- They read the tables of this schema, whatever schema their caller looks at, and can't be given temporary ones in their place.
    FOREACH called IN ARRAY ARRAY[
        'pseudonym_of(text)', 'role_in(uuid, text)', 'may(uuid, smallint, text)', 'tenants_of(uuid, smallint)'
    ]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', called, current_schema());
    END LOOP;
END
$$;
