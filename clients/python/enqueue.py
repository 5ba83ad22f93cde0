#!/usr/bin/env python3
"""Enqueue images for Assay: one request a line, as JSON, on standard input.

    echo '{"submission_id": "post-1/img-1", "image": {"bucket": "uploads", "key": "u/1.jpg"}}' | enqueue.py

A line is done when the broker has confirmed it. To send it again is safe: one submission has one outcome.
"""

import json
import os
import sys
import time

import pika
import pika.exceptions

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
QUEUE = os.environ.get("ASSAY_PREFIX", "assay") + ".images"
TRIES = 5


class Enqueuer:
    def __init__(self, url: str, queue: str):
        self.parameters, self.queue = pika.URLParameters(url), queue
        self.connection = self.channel = None

    def enqueue(self, request: dict) -> None:
        """Returns when the broker has the request on disk; raises UnroutableError if there is no such queue."""
        for left in reversed(range(TRIES)):
            try:
                return self._publish(request)
            except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError, pika.exceptions.NackError):
                self.connection = None
                if left == 0:
                    raise
                time.sleep(2 ** (TRIES - left) / 4)

    def _publish(self, request: dict) -> None:
        if self.connection is None or self.connection.is_closed:
            self.connection = pika.BlockingConnection(self.parameters)
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()
        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=request["submission_id"], headers={"timestamp_in_ms": time.time_ns() // 1_000_000})
        # `mandatory`: without it the broker confirms, and drops, what no queue takes.
        self.channel.basic_publish("", self.queue, json.dumps(request).encode(), properties, mandatory=True)

    def close(self) -> None:
        if self.connection is not None and self.connection.is_open:
            self.connection.close()


def main() -> None:
    enqueuer = Enqueuer(URL, QUEUE)
    for line in filter(str.strip, sys.stdin):
        request = json.loads(line)
        try:
            enqueuer.enqueue(request)
        except pika.exceptions.UnroutableError:
            sys.exit(f"enqueue: there is no queue {QUEUE}; start a worker, or set ASSAY_PREFIX")
        except (pika.exceptions.AMQPError, pika.exceptions.NackError) as error:
            sys.exit(f"enqueue: {request['submission_id']} was not confirmed: {error!r}")
        print(request["submission_id"], flush=True)
    enqueuer.close()


if __name__ == "__main__":
    main()
