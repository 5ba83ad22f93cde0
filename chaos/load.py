"""Sending submissions, as an upload service would: each until the broker has confirmed it, whatever happens meanwhile."""

import threading
import time

import pika
import pika.exceptions

from submissions import Message

TROUBLE = (pika.exceptions.AMQPError, pika.exceptions.NackError, pika.exceptions.UnroutableError, OSError)


class Publisher:
    """One connection with confirms, made again for as long as it is wanted."""

    def __init__(self, url: str, prefix: str):
        self.parameters = pika.URLParameters(url)
        # Nobody attends to it between two messages.
        self.parameters.heartbeat = 0
        self.prefix = prefix
        self.channel = None

    def publish(self, message: Message, wanted=lambda: True) -> bool:
        """True once it is confirmed; False if that is no longer wanted."""
        while wanted():
            try:
                if self.channel is None:
                    self.channel = pika.BlockingConnection(self.parameters).channel()
                    self.channel.confirm_delivery()
                properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=message.message_id,
                                                  headers={"timestamp_in_ms": int(time.time() * 1000)})
                self.channel.basic_publish("", f"{self.prefix}.{message.queue}", message.body, properties, mandatory=True)
                return True
            except TROUBLE:
                self.close()
                time.sleep(0.1)
        return False

    def close(self) -> None:
        channel, self.channel = self.channel, None
        if channel is not None:
            try:
                channel.connection.close()
            except TROUBLE:
                pass


class Load(threading.Thread):
    """So many messages a second, until it is stopped. `register` hears of each before it is sent."""

    def __init__(self, publisher: Publisher, compose, register, rate: float):
        super().__init__(name="load", daemon=True)
        self.publisher, self.compose, self.register, self.rate = publisher, compose, register, rate
        self.ended = threading.Event()
        # Set to let go of a message that nobody takes.
        self.given_up = threading.Event()
        self.trouble: Exception | None = None

    def run(self) -> None:
        try:
            self._send()
        except Exception as trouble:
            self.trouble = trouble
        self.publisher.close()

    def _send(self) -> None:
        due = time.monotonic()
        while not self.ended.is_set():
            message = self.compose()
            self.register(message)
            self.publisher.publish(message, lambda: not self.given_up.is_set())
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            self.ended.wait(max(0.0, due - time.monotonic()))

    def stop(self, seconds: float = 60.0) -> None:
        """No message is under way when this returns."""
        self.ended.set()
        self.join(seconds)
        self.given_up.set()
        self.join(10)
