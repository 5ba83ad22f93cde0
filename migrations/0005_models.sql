-- Model versions, which of them served when, and who may change that. Versions and promotions are only ever added.

CREATE TABLE models (
    version       text        COLLATE "C" PRIMARY KEY,
    -- Of the weights file.
    sha256        text        COLLATE "C" NOT NULL,
    -- A folder, or s3://bucket/prefix.
    location      text        NOT NULL,
    -- manifest.json, byte for byte: what lies in the store must be the same.
    manifest      json        NOT NULL,
    metrics       json        NOT NULL,
    -- The version that it was trained from.
    parent        text        COLLATE "C" REFERENCES models,
    actor         text        NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);

-- The active model is that of the last row. Numbers have no gaps: of two that promote at once, the second finds its
-- number taken, and is told.
CREATE TABLE promotions (
    id          bigint      PRIMARY KEY CHECK (id > 0),
    version     text        COLLATE "C" NOT NULL REFERENCES models,
    -- NULL for the first.
    replaces    text        COLLATE "C" REFERENCES models,
    kind        text        COLLATE "C" NOT NULL CHECK (kind IN ('promotion', 'rollback')),
    actor       text        NOT NULL,
    reason      text,
    promoted_at timestamptz NOT NULL DEFAULT now()
);

-- A job that must be alone holds a lease. Each holder has a higher epoch than the one before it, and what it writes carries
-- that epoch: a holder that was thought dead and comes back is refused.
CREATE TABLE leases (
    name       text        COLLATE "C" PRIMARY KEY,
    holder     text        NOT NULL,
    epoch      bigint      NOT NULL CHECK (epoch > 0),
    expires_at timestamptz NOT NULL
);

CREATE TABLE training_runs (
    id          uuid        PRIMARY KEY,
    epoch       bigint      NOT NULL,
    state       text        COLLATE "C" NOT NULL
        CHECK (state IN ('running', 'refused', 'promoted', 'registered', 'nothing_new', 'failed')),
    -- Of the snapshot's manifest; NULL before there is one.
    snapshot    text        COLLATE "C",
    -- The version that it made.
    candidate   text        COLLATE "C",
    report      json,
    started_at  timestamptz NOT NULL DEFAULT now(),
    -- NULL while it runs.
    finished_at timestamptz
);
CREATE INDEX training_runs_started_at ON training_runs (started_at DESC);
