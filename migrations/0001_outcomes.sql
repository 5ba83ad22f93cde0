-- One outcome for each submission key, enforced by the database itself: whoever owns the key's row in
-- `outcomes` has said which kind it is, and the composite foreign keys let only that kind follow.
--
-- Text keys compare byte by byte (COLLATE "C"): faster, and no operating system update can reorder the index.

CREATE TABLE outcomes (
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    generation    bigint      NOT NULL CHECK (generation >= 0),
    kind          text        COLLATE "C" NOT NULL CHECK (kind IN ('verdict', 'failure')),
    outcome_id    uuid        NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, submission_id, generation),
    -- Only for the foreign keys below to point at.
    UNIQUE (tenant, submission_id, generation, kind)
);

-- The columns are what people filter on; `document` is the outcome itself, byte for byte as it was published.
-- It is json, not jsonb: jsonb would rewrite numbers, and refuses the escaped NUL that metadata may hold.

CREATE TABLE verdicts (
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    generation    bigint      NOT NULL,
    kind          text        COLLATE "C" NOT NULL GENERATED ALWAYS AS ('verdict') STORED,
    verdict_id    uuid        NOT NULL,
    decision      text        NOT NULL,
    synthetic     real        NOT NULL,
    logit         real        NOT NULL,
    -- NULL unless the decision is synthetic.
    generator     text,
    model_version text        NOT NULL,
    model_sha256  text        NOT NULL,
    bucket        text        NOT NULL,
    object_key    text        NOT NULL,
    image_sha256  text        NOT NULL,
    purpose       text        NOT NULL,
    decided_at    timestamptz NOT NULL,
    document      json        NOT NULL,
    PRIMARY KEY (tenant, submission_id, generation),
    FOREIGN KEY (tenant, submission_id, generation, kind)
        REFERENCES outcomes (tenant, submission_id, generation, kind)
);

CREATE TABLE failures (
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    generation    bigint      NOT NULL,
    kind          text        COLLATE "C" NOT NULL GENERATED ALWAYS AS ('failure') STORED,
    failure_id    uuid        NOT NULL,
    code          text        NOT NULL,
    stage         text        NOT NULL,
    retryable     boolean     NOT NULL,
    bucket        text        NOT NULL,
    object_key    text        NOT NULL,
    purpose       text        NOT NULL,
    failed_at     timestamptz NOT NULL,
    document      json        NOT NULL,
    PRIMARY KEY (tenant, submission_id, generation),
    FOREIGN KEY (tenant, submission_id, generation, kind)
        REFERENCES outcomes (tenant, submission_id, generation, kind)
);

-- Reports ask for spans of time. Rows come in nearly in that order, so a block range index serves them and
-- costs an insert next to nothing.
CREATE INDEX verdicts_decided_at ON verdicts USING brin (decided_at);
CREATE INDEX failures_failed_at ON failures USING brin (failed_at);
