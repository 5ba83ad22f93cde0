-- Who says what about an image. Rows are only ever added: each is a word, and the history of a content is all of them.
-- Contents are known by their bytes, so that the same image has one history wherever it lies.

CREATE TABLE labels (
    -- The order in which they were said.
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256       text        COLLATE "C" NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    -- Where the bytes lay when it was said: s3://bucket/key, or the path of a file.
    location     text        NOT NULL,
    origin       text        COLLATE "C" NOT NULL CHECK (origin IN ('real', 'synthetic')),
    content_type text        COLLATE "C",
    generator    text        COLLATE "C" CHECK (generator IS NULL OR origin = 'synthetic'),
    source       text        COLLATE "C" NOT NULL CHECK (source IN ('import', 'correction')),
    actor        text        NOT NULL,
    reason       text,
    -- The outcome that it corrects, if it named one.
    verdict_id   uuid,
    said_at      timestamptz NOT NULL DEFAULT now()
);

-- In the order in which the word in force is looked for.
CREATE INDEX labels_by_content ON labels (sha256, (source = 'correction') DESC, id DESC);

-- What counts of each content: the newest word of the highest source.
CREATE VIEW labels_in_force AS
SELECT DISTINCT ON (sha256)
    id, sha256, location, origin, content_type, generator, source, actor, reason, verdict_id, said_at
FROM labels
ORDER BY sha256, (source = 'correction') DESC, id DESC;

-- Corrections name an outcome by its id, or an image by its place. Hash indexes keep 4 bytes of each key, whatever its
-- length. Building them locks the tables against writing: on large ones, apply this while the workers rest.
CREATE INDEX outcomes_id ON outcomes USING hash (outcome_id);
CREATE INDEX verdicts_object ON verdicts USING hash (object_key);
