-- What people look at, who has it, what they say, and what follows. docs: crates/review

-- One row. It makes the draws unpredictable to those who choose what they submit.
CREATE TABLE review_salt (salt bytea NOT NULL CHECK (length(salt) = 32));
INSERT INTO review_salt SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- How far verdicts were collected.
CREATE TABLE review_progress (
    what    text        COLLATE "C" PRIMARY KEY,
    through timestamptz NOT NULL
);

CREATE TABLE review_items (
    -- Of the outcome and the kind.
    item_id         uuid        PRIMARY KEY,
    outcome_id      uuid        NOT NULL,
    appeal_id       uuid,
    -- Of who has it, also after its time, until somebody else takes it.
    lease           uuid,
    -- A vote that can still be undone. Until then nobody else gets the item.
    pending         uuid,
    decided_at      timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    arrived_at      timestamptz NOT NULL DEFAULT now(),
    -- By the first claim, which is what a day's budget is spent on.
    begun_at        timestamptz,
    lease_until     timestamptz,
    shown_at        timestamptz,
    held_at         timestamptz,
    assigned_at     timestamptz,
    resolved_at     timestamptz,
    closed_at       timestamptz,
    generation      bigint      NOT NULL,
    audit_inclusion double precision,
    audit_rank      double precision,
    synthetic       real        NOT NULL,
    priority        smallint    NOT NULL,
    for_leads       boolean     NOT NULL DEFAULT false,
    -- For later, longer than a lease.
    is_held         boolean     NOT NULL DEFAULT false,
    kind            text        COLLATE "C" NOT NULL CHECK (kind IN ('review', 'appeal', 'golden')),
    source          text        COLLATE "C" NOT NULL,
    scrutiny        text        COLLATE "C" NOT NULL CHECK (scrutiny IN ('single', 'double', 'golden_real', 'golden_synthetic')),
    state           text        COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'closed')),
    closed_why      text        COLLATE "C",
    tenant          text        COLLATE "C" NOT NULL,
    submission_id   text        COLLATE "C" NOT NULL,
    decision        text        COLLATE "C" NOT NULL CHECK (decision IN ('real', 'synthetic', 'uncertain')),
    audit_stratum   text        COLLATE "C",
    model_version   text        NOT NULL,
    image_sha256    bytea       NOT NULL,
    bucket          text        NOT NULL,
    object_key      text        NOT NULL,
    holder          text        COLLATE "C",
    held_comment    text,
    assigned_to     text        COLLATE "C",
    -- Pseudonyms, which others are shown.
    assigned_by     text,
    because         text,
    resolution      json,
    CHECK ((holder IS NULL) = (lease IS NULL) AND (holder IS NULL) = (lease_until IS NULL)),
    CHECK ((audit_stratum IS NULL) = (audit_inclusion IS NULL) AND (audit_stratum IS NULL) = (audit_rank IS NULL)),
    CHECK ((kind = 'appeal') = (appeal_id IS NOT NULL)),
    CHECK ((state = 'closed') = (closed_why IS NOT NULL))
);
-- In the order of the queue; only what is open, however much was reviewed before.
CREATE INDEX review_items_open ON review_items (priority, audit_rank NULLS FIRST, arrived_at, item_id) WHERE state = 'open';
CREATE INDEX review_items_holder ON review_items (holder) WHERE holder IS NOT NULL AND state = 'open';
CREATE INDEX review_items_assigned ON review_items (assigned_to) WHERE assigned_to IS NOT NULL AND state = 'open';
CREATE INDEX review_items_pending ON review_items (pending) WHERE pending IS NOT NULL;
CREATE INDEX review_items_begun ON review_items (begun_at, tenant) WHERE begun_at IS NOT NULL;
CREATE INDEX review_items_submission ON review_items (tenant, submission_id);
CREATE INDEX review_items_outcome ON review_items USING hash (outcome_id);
-- The estimates of the audit, by time.
CREATE INDEX review_items_audit ON review_items (decided_at) WHERE audit_stratum IS NOT NULL;

-- Who is never to get it again.
CREATE TABLE review_skips (
    item_id    uuid        NOT NULL REFERENCES review_items ON DELETE CASCADE,
    person     text        COLLATE "C" NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, person)
);

-- reviewed: has voted on the submission before, and does not decide on the appeal. saw: has seen score or votes, and gives no blind vote.
CREATE TABLE review_bars (
    item_id   uuid        NOT NULL REFERENCES review_items ON DELETE CASCADE,
    person    text        COLLATE "C" NOT NULL,
    why       text        COLLATE "C" NOT NULL CHECK (why IN ('reviewed', 'saw')),
    barred_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, person, why)
);

-- The votes. Rows are only ever added.
CREATE TABLE reviews (
    -- In the order in which they were cast.
    number    bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    vote_id   uuid        PRIMARY KEY,
    item_id   uuid        NOT NULL REFERENCES review_items ON DELETE CASCADE,
    cast_at   timestamptz NOT NULL DEFAULT now(),
    -- Until then it can be undone.
    counts_at timestamptz NOT NULL,
    -- From the image on the screen to the vote.
    seconds   real,
    blind     boolean     NOT NULL,
    person    text        COLLATE "C" NOT NULL,
    -- What others are told.
    pseudonym text        NOT NULL,
    role      text        COLLATE "C" NOT NULL,
    answer    text        COLLATE "C" NOT NULL CHECK (answer IN ('real', 'synthetic', 'cannot_tell')),
    ground    text        COLLATE "C",
    generator text,
    comment   text
);
CREATE INDEX reviews_item ON reviews (item_id, number);
CREATE INDEX reviews_person ON reviews (person, cast_at);
CREATE INDEX reviews_cast_at ON reviews USING brin (cast_at);

-- What became of a vote: one of these, whoever is faster.
CREATE TABLE review_marks (
    vote_id   uuid        PRIMARY KEY REFERENCES reviews ON DELETE CASCADE,
    mark      text        COLLATE "C" NOT NULL CHECK (mark IN ('counted', 'undone', 'void')),
    marked_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE appeals (
    appeal_id     uuid        PRIMARY KEY,
    outcome_id    uuid        NOT NULL UNIQUE,
    filed_at      timestamptz NOT NULL DEFAULT now(),
    decided_at    timestamptz,
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    via           text        COLLATE "C" NOT NULL CHECK (via IN ('queue', 'console')),
    result        text        COLLATE "C" CHECK (result IN ('upheld', 'overturned')),
    ground        text        COLLATE "C",
    text          text        NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 4096),
    filed_by      text,
    reason        text,
    -- Bucket, key, version and digest of an object.
    evidence      json,
    -- Pseudonyms.
    decided_by    json,
    CHECK ((decided_at IS NULL) = (result IS NULL))
);
CREATE INDEX appeals_submission ON appeals (tenant, submission_id);
CREATE INDEX appeals_open ON appeals (filed_at) WHERE decided_at IS NULL;
CREATE INDEX appeals_decided ON appeals (decided_at) WHERE decided_at IS NOT NULL;

-- What is to be sent, written in the transaction that makes it so.
CREATE TABLE review_outbox (
    message_id  uuid        PRIMARY KEY,
    made_at     timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,
    -- A console is at it until then.
    taken_until timestamptz,
    -- What it comes from, so that an erasure finds it.
    item_id     uuid        NOT NULL REFERENCES review_items ON DELETE CASCADE,
    kind        text        COLLATE "C" NOT NULL CHECK (kind IN ('decision', 'appeal', 'rejudge')),
    document    json        NOT NULL
);
CREATE INDEX review_outbox_unsent ON review_outbox (made_at) WHERE sent_at IS NULL;

-- How an image came to be labelled, on what grounds, and whether that is enough to train on.
ALTER TABLE labels
    ADD COLUMN drawn_as text   COLLATE "C",
    ADD COLUMN grounds  text[] COLLATE "C",
    ADD COLUMN trains   boolean NOT NULL DEFAULT true;

-- What counts of each content: the newest word of the highest source, and before it any that may be trained on: the look of an
-- image alone takes nothing back.
CREATE OR REPLACE VIEW labels_in_force AS
SELECT DISTINCT ON (sha256)
    id, sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, said_at, drawn_as, grounds, trains
FROM labels
ORDER BY sha256, trains DESC, (source = 'correction') DESC, id DESC;
DROP INDEX labels_by_content;
CREATE INDEX labels_by_content ON labels (sha256, trains DESC, (source = 'correction') DESC, id DESC);
