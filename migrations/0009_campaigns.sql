-- Judging again: who wanted it and why, what was selected, how far it has come, and what came of it.

CREATE TABLE campaigns (
    campaign_id      uuid        PRIMARY KEY,
    actor            text        NOT NULL,
    reason           text        NOT NULL,
    selection        json        NOT NULL,
    -- Of the model that judges; with another one at work it pauses.
    model_version    text        NOT NULL,
    state            text        COLLATE "C" NOT NULL CHECK (state IN ('running', 'paused', 'stopped', 'finished')),
    -- Why it is not running, in words.
    why              text,
    items            bigint      NOT NULL,
    last_place       bigint      NOT NULL DEFAULT 0,
    -- The place of the last item that was submitted.
    submitted        bigint      NOT NULL DEFAULT 0,
    -- Decisions that have changed.
    flips            bigint      NOT NULL DEFAULT 0,
    -- With so many decisions changed it stops, for a person to look.
    stop_after_flips bigint      CHECK (stop_after_flips > 0),
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz
);

-- Wide columns first: so nothing is lost to alignment.
CREATE TABLE campaign_items (
    -- In the order of submission.
    place         bigint      NOT NULL,
    -- When the verdict in force was recorded: it says in which partition that is.
    recorded_at   timestamptz NOT NULL,
    -- Of the verdict in force, and the one to come.
    before        bigint      NOT NULL,
    generation    bigint      NOT NULL,
    campaign_id   uuid        NOT NULL,
    verdict_id    uuid        NOT NULL,
    tenant        text        COLLATE "C" NOT NULL,
    submission_id text        COLLATE "C" NOT NULL,
    decision      text        NOT NULL,
    -- The decision of the new verdict, or `failed` where this model gave none; NULL while it is awaited.
    result        text,
    PRIMARY KEY (campaign_id, place)
);
-- No submission is in two campaigns at once: both would submit the same generation.
CREATE UNIQUE INDEX campaign_items_key ON campaign_items (tenant, submission_id, generation) WHERE result IS NULL;
CREATE INDEX campaign_items_submission ON campaign_items (tenant, submission_id);
CREATE INDEX campaign_items_awaited ON campaign_items (campaign_id, place) WHERE result IS NULL;
