"""Reading what there is at the end: rows, publications, dead letters, what is left on the queues."""

import pika
import psycopg

from checker import VERDICT, Evidence, Letter, Publication, Row

RESULTS, DEAD = "results", "dead"
SILENCE = 0.7


def queues(delays: list[int]) -> list[str]:
    """The work queues, without their prefix."""
    return [queue for base in ("images", "images.bulk") for queue in (base, *(f"{base}.retry.{delay}s" for delay in delays))]


class Reader:
    """Looks at one prefix of the broker and one schema of the database."""

    def __init__(self, environment: dict[str, str], prefix: str, schema: str, delays: list[int]):
        self.broker, self.database = environment["ASSAY__BROKER__URL"], environment["ASSAY__DATABASE__URL"]
        self.prefix, self.schema, self.delays = prefix, schema, delays

    def counts(self) -> tuple[int, int, int]:
        """Rows, dead letters, messages that wait on the queues."""
        with psycopg.connect(self.database) as database:
            rows = database.execute(f"SELECT count(*) FROM {self.schema}.outcomes").fetchone()[0]
        with self._channel() as channel:
            depth = {queue: self._depth(channel, queue) for queue in (DEAD, *queues([]))}
        return rows, depth.pop(DEAD), sum(depth.values())

    def evidence(self) -> Evidence:
        """Empties the results and the dead letters."""
        with self._channel() as channel:
            left = {queue: len(self._drain(channel, queue)) for queue in queues(self.delays)}
            publications = [Publication(properties.correlation_id or "", properties.message_id or "", body)
                            for properties, body in self._drain(channel, RESULTS)]
            letters = [Letter(properties.message_id or "", body, (properties.headers or {}).get("x-assay-reason", ""))
                       for properties, body in self._drain(channel, DEAD)]
        return Evidence(self.rows(), publications, letters, left)

    def rows(self) -> list[Row]:
        """Those of the two tables, and keys that are taken without one."""
        tables = (("verdict_id", "verdicts", f"'{VERDICT}'", f"{self.schema}.document(t)"), ("failure_id", "failures", "code", "document"))
        selects = (f"SELECT submission_id, {kind}, {id}::text, {document}::text FROM {self.schema}.{table} AS t"
                   for id, table, kind, document in tables)
        bare = (f"SELECT submission_id, 'nothing but a key', outcome_id::text, '{{}}' FROM {self.schema}.outcomes o WHERE NOT EXISTS "
                f"(SELECT FROM {self.schema}.verdicts v WHERE v.verdict_id = o.outcome_id) AND NOT EXISTS "
                f"(SELECT FROM {self.schema}.failures f WHERE f.failure_id = o.outcome_id)")
        with psycopg.connect(self.database) as database:
            found = [row for select in (*selects, bare) for row in database.execute(select)]
        return [Row(id, kind, outcome_id, document.encode()) for id, kind, outcome_id, document in found]

    def forget(self) -> None:
        """Empties the tables."""
        with psycopg.connect(self.database, autocommit=True) as database:
            database.execute(f"TRUNCATE {self.schema}.outcomes, {self.schema}.verdicts, {self.schema}.failures")

    def clear(self) -> None:
        """Deletes the queues, the exchange and the tables."""
        with self._channel() as channel:
            for queue in (RESULTS, DEAD, *queues(self.delays)):
                channel.queue_delete(f"{self.prefix}.{queue}")
            channel.exchange_delete(f"{self.prefix}.verdicts")
        with psycopg.connect(self.database, autocommit=True) as database:
            database.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")

    def _channel(self):
        return _Channel(self.broker)

    def _depth(self, channel, queue: str) -> int:
        return channel.queue_declare(f"{self.prefix}.{queue}", passive=True).method.message_count

    def _drain(self, channel, queue: str) -> list:
        """Until the broker itself says that it is empty: a count may be wrong for a while after a restart of it."""
        taken = []
        name = f"{self.prefix}.{queue}"
        while True:
            due = self._depth(channel, queue)
            for method, properties, body in channel.consume(name, auto_ack=True, inactivity_timeout=SILENCE) if due else ():
                if method is None:
                    break
                taken.append((properties, body))
                due -= 1
                if due == 0:
                    break
            channel.cancel()
            method, properties, body = channel.basic_get(name, auto_ack=True)
            if method is None:
                return taken
            taken.append((properties, body))


class _Channel:
    def __init__(self, url: str):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))

    def __enter__(self):
        return self.connection.channel()

    def __exit__(self, *_) -> None:
        if self.connection.is_open:
            self.connection.close()
