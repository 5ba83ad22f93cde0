-- What follows from verdicts: policies, on what they were tried, and which of them was in force when. Rows are only ever added.

CREATE TABLE policies (
    -- Of what it says: files that say the same are one policy. Its version is the first 12 digits.
    digest text        COLLATE "C" PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    -- The file, as it was given.
    text   text        NOT NULL,
    actor  text        NOT NULL,
    put_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX policies_version ON policies (left(digest, 12));

CREATE TABLE policy_trials (
    digest   text        COLLATE "C" PRIMARY KEY,
    -- Of a policy that need not be put yet.
    policy   text        COLLATE "C" NOT NULL,
    report   json        NOT NULL,
    actor    text        NOT NULL,
    tried_at timestamptz NOT NULL DEFAULT now()
);

-- The policy in force is that of the last row. Numbers have no gaps: of two that activate at once, the second finds its number taken,
-- and is told.
CREATE TABLE policy_activations (
    id           bigint      PRIMARY KEY CHECK (id > 0),
    -- NULL: from then on none is in force.
    policy       text        COLLATE "C" REFERENCES policies,
    replaces     text        COLLATE "C" REFERENCES policies,
    trial        text        COLLATE "C" REFERENCES policy_trials,
    actor        text        NOT NULL,
    reason       text        NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now()
);
