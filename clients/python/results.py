#!/usr/bin/env python3
"""Print Assay's outcomes as JSON lines, each once, whatever is delivered twice.

    results.py          until Ctrl-C
    results.py 100      until so many new ones have come

Outcomes come at least once. What makes them count once is the table below: the id of an outcome and what you do about it
are written in one transaction, and the message is acknowledged after that.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import typing

import pika

if typing.TYPE_CHECKING:
    from documents.failure import Failure
    from documents.verdict import Verdict

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
EXCHANGE = os.environ.get("ASSAY_PREFIX", "assay") + ".verdicts"
# A queue of your own: consumers of one queue share its messages. `verdict.acme.synthetic` would be a narrower topic.
QUEUE = os.environ.get("RESULTS_QUEUE", "example.outcomes")
TOPICS = ["verdict.#", "failure.#"]
PREFETCH = 100


def handle(outcome: Verdict | Failure) -> None:
    """Yours: hide the post, tell a moderator, …"""
    print(json.dumps(outcome), flush=True)


def handle_once(database: sqlite3.Connection, message_id: str, body: bytes) -> bool:
    """False if this outcome was handled before."""
    with database:
        if database.execute("INSERT OR IGNORE INTO handled VALUES (?)", [message_id]).rowcount == 0:
            return False
        handle(json.loads(body))
        return True


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    database = sqlite3.connect(os.environ.get("RESULTS_DATABASE", "results.db"))
    database.execute("CREATE TABLE IF NOT EXISTS handled (message_id TEXT PRIMARY KEY)")
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    for topic in TOPICS:
        channel.queue_bind(QUEUE, EXCHANGE, topic)
    channel.basic_qos(prefetch_count=PREFETCH)
    for method, properties, body in channel.consume(QUEUE):
        new = handle_once(database, properties.message_id, body)
        channel.basic_ack(method.delivery_tag)
        if new and wanted is not None and (wanted := wanted - 1) == 0:
            break
    channel.cancel()
    connection.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
