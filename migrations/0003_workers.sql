-- What each worker last said of itself, for people: nothing else rests on it. One row for each host and process number;
-- a worker only ever writes its own.
CREATE TABLE workers (
    name                   text        COLLATE "C" PRIMARY KEY,
    version                text        NOT NULL,
    device                 text        NOT NULL,
    model_version          text        NOT NULL,
    model_sha256           text        NOT NULL,
    -- 'ready', or what is in the way.
    state                  text        NOT NULL,
    in_flight              integer     NOT NULL,
    oldest_in_flight_s     real        NOT NULL,
    -- How long the message taken last had waited in its queue; NULL before the first, or if it did not say.
    queue_wait_s           real,
    started_at             timestamptz NOT NULL,
    seen_at                timestamptz NOT NULL DEFAULT now()
);
