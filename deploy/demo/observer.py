"""Watches outcomes and dead letters arrive, and asks the database at the end what really became of each submission.

Outcomes come through a queue of the demo's own, so nobody else's results are eaten.
"""

import collections
import dataclasses
import json
import time
import uuid

from stage import Trouble
from submissions import Submission

LIVE, BULK, DEAD, VERDICTS = "assay.images", "assay.images.bulk", "assay.dead", "assay.verdicts"
# So long may nothing at all happen before we call what hasn't come missing.
DEADLINE = 90.0


@dataclasses.dataclass
class Tally:
    """The last line."""

    verdicts: int = 0
    failures: int = 0
    dead: int = 0
    missing: int = 0
    doubled: int = 0
    unlike: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        return (f"outcomes: verdicts={self.verdicts} failures={self.failures} dead={self.dead} "
                f"missing={self.missing} doubled={self.doubled}")

    def good(self) -> bool:
        return self.missing == self.doubled == 0 and self.dead == 1 and not self.unlike


class Observer:
    def __init__(self, url: str, submissions: list[Submission]):
        import pika

        self.pika = pika
        try:
            self.connection = pika.BlockingConnection(pika.URLParameters(url))
        except pika.exceptions.AMQPError as error:
            raise Trouble(f"RabbitMQ can't be reached: {error!r}; look with: make up") from None
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        # Bound before anything is sent: an exchange keeps nothing for those who come later.
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        for key in ("verdict.#", "failure.#"):
            self.channel.queue_bind(self.queue, VERDICTS, key)
        self.submissions = {one.key: one for one in submissions}
        # Ids under which each submission's outcome was published, once for each publication.
        self.published: dict[str, list[str]] = collections.defaultdict(list)
        self.unreadable_id = str(uuid.uuid4())
        self.twice = submissions[0]
        self.dead: dict | None = None
        # Of each submission that was judged: real, synthetic or uncertain.
        self.decisions: dict[str, str] = {}
        # When the last outcome came, of whomever: a queue may hold others' work before ours.
        self.heard = time.monotonic()

    def watch(self, table) -> None:
        def outcome(_channel, _method, properties, body) -> None:
            self.heard = time.monotonic()
            document = json.loads(body)
            one = self.submissions.get(document["image"]["key"])
            if one is None:
                return
            seen = self.published[one.key]
            seen.append(properties.message_id)
            if len(seen) == 1:
                if "decision" in document:
                    self.decisions[one.key] = document["decision"]
                table.outcome(one, document)
            elif seen[0] == seen[-1]:
                table.note(one.name, "the same again", "native", "same outcome", f"published again as {seen[0][:8]}…")
            else:
                table.note(one.name, "the same again", "native", "ANOTHER OUTCOME", f"{seen[0][:8]}… and {seen[-1][:8]}…")

        def dead(channel, method, properties, _body) -> None:
            # What isn't ours goes back to its queue when the connection closes.
            if properties.message_id == self.unreadable_id:
                self.dead = properties.headers or {}
                channel.basic_ack(method.delivery_tag)
                table.note("(no picture)", "half a message", "JSON", "dead letter", self.dead.get("x-assay-reason", ""))

        self.channel.basic_consume(self.queue, outcome, auto_ack=True)
        self.dead_channel = self.connection.channel()
        self.dead_channel.basic_consume(DEAD, dead)

    def publish(self, body: bytes, message_id: str | None = None) -> None:
        properties = self.pika.BasicProperties(
            content_type="application/json", delivery_mode=2, message_id=message_id or str(uuid.uuid4()),
            timestamp=int(time.time()), headers={"timestamp_in_ms": int(time.time() * 1000)})
        self.channel.basic_publish("", LIVE, body, properties, mandatory=True)

    def publish_oddities(self) -> None:
        """A submission that was sent before, and a message that nobody can read."""
        self.publish(json.dumps(self.twice.native()).encode())
        self.publish(b'{"submission_id": "half a mess', self.unreadable_id)

    def missing(self) -> int:
        return sum(not self.published[key] for key in self.submissions)

    def wait(self, table, check) -> None:
        """Until all outcomes, the repetition and the dead letter are there, or nothing happens any more."""
        while True:
            self.connection.process_data_events(time_limit=0.2)
            check()
            table.waiting(self.missing())
            repeated = len(self.published[self.twice.key]) > 1
            if self.missing() == 0 and repeated and self.dead is not None:
                return
            if time.monotonic() - self.heard > DEADLINE:
                return

    def left_on_queue(self) -> int:
        return sum(self.channel.queue_declare(queue, passive=True).method.message_count for queue in (LIVE, BULK))

    def close(self) -> None:
        self.connection.close()

    def tally(self, database: str, prefix: str) -> Tally:
        """Counts rows of the database, and holds them against what was published."""
        import psycopg

        rows: dict[str, list[tuple[str, str, str]]] = collections.defaultdict(list)
        query = ("SELECT object_key, 'verdict', verdict_id::text, '' FROM assay.verdicts WHERE starts_with(object_key, %(prefix)s) "
                 "UNION ALL "
                 "SELECT object_key, 'failure', failure_id::text, code FROM assay.failures WHERE starts_with(object_key, %(prefix)s)")
        try:
            with psycopg.connect(database) as connection:
                for key, kind, outcome_id, code in connection.execute(query, {"prefix": prefix}):
                    rows[key].append((kind, outcome_id, code))
        except psycopg.Error as error:
            raise Trouble(f"the database can't be asked what became of the submissions: {error}") from None
        tally = Tally(dead=int(self.dead is not None))
        for key, one in self.submissions.items():
            recorded, published = rows[key], set(self.published[key])
            ids = published | {outcome_id for _, outcome_id, _ in recorded}
            tally.missing += not recorded or not published
            tally.doubled += len(recorded) > 1 or len(ids) > 1
            for kind, _, code in recorded:
                tally.verdicts += kind == "verdict"
                tally.failures += kind == "failure"
                if code != one.due:
                    tally.unlike.append(f"{one.name}: {code or 'a verdict'}, where {one.due or 'a verdict'} was due")
        return tally
