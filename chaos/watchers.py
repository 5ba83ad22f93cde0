"""Seeing in the bytes between the worker and a server how far the worker has come. One watcher for each connection.

`up` (towards the server) and `down` split what they are given into parts, each with the step that it completes or None;
a part may come out later than it went in, never in another order.
"""

import struct

# The document of a verdict, on its way to the broker.
MARK = b"assay.verdict.v1"
# What of it the database has in no column, on its way there.
ROW_MARK = b'"batch_size"'

RECORD, RECORDED = "record", "recorded"
PUBLISH, CONFIRM, ACK = "publish", "confirm", "ack"

Parts = list[tuple[str | None, bytes]]


class Watcher:
    def up(self, data: bytes) -> Parts:
        raise NotImplementedError

    def down(self, data: bytes) -> Parts:
        raise NotImplementedError


class PostgresWatcher(Watcher):
    """RECORD: a statement that holds a verdict, on its way to the server. RECORDED: the server is done with it, which it
    says once the transaction is committed; its answer is one part, from the first byte to the last."""

    SSL_REQUEST = struct.pack(">II", 8, 80877103)
    READY_FOR_QUERY = ord("Z")

    def __init__(self):
        self.tail = b""
        self.recording = False
        self.refusal_due = False
        self.pending = b""
        self.answer = b""

    def up(self, data: bytes) -> Parts:
        if data == self.SSL_REQUEST:
            self.refusal_due = True
        seen = self.tail + data
        self.tail = seen[-len(ROW_MARK) + 1:]
        # Only once for each statement, however many verdicts it holds.
        found = not self.recording and ROW_MARK in seen
        self.recording |= found
        return [(RECORD if found else None, data)]

    def down(self, data: bytes) -> Parts:
        if self.refusal_due:
            # The answer to the question for TLS is one byte without a frame.
            self.refusal_due = False
            return [(None, data[:1]), *(self.down(data[1:]) if data[1:] else [])]
        self.pending += data
        parts: Parts = []
        while len(self.pending) >= 5 and len(self.pending) >= (size := 1 + struct.unpack(">I", self.pending[1:5])[0]):
            message, self.pending = self.pending[:size], self.pending[size:]
            if not self.recording:
                parts.append((None, message))
                continue
            self.answer += message
            if message[0] == self.READY_FOR_QUERY:
                parts.append((RECORDED, self.answer))
                self.recording, self.answer, self.tail = False, b"", b""
        return joined(parts)


class AmqpWatcher(Watcher):
    """PUBLISH: a verdict, whole. CONFIRM: the broker's word for a publication. ACK: the worker's word for a message."""

    METHOD, HEADER, BODY = 1, 2, 3
    BASIC_ACK = struct.pack(">HH", 60, 80)
    GREETING = 8

    def __init__(self):
        self.greeting = self.GREETING
        self.pending = {"up": b"", "down": b""}
        # Of each channel: bytes of the body that are still to come, and what of it has come.
        self.bodies: dict[int, list] = {}

    def up(self, data: bytes) -> Parts:
        greeting, data = data[:self.greeting], data[self.greeting:]
        self.greeting -= len(greeting)
        parts: Parts = [(None, greeting)] if greeting else []
        for kind, channel, payload, frame in self._frames("up", data):
            step = None
            if kind == self.METHOD and payload[:4] == self.BASIC_ACK:
                step = ACK
            elif kind == self.HEADER:
                self.bodies[channel] = [struct.unpack(">Q", payload[4:12])[0], b""]
            elif kind == self.BODY:
                body = self.bodies[channel]
                body[0] -= len(payload)
                body[1] += payload
                step = PUBLISH if body[0] == 0 and MARK in body[1] else None
            parts.append((step, frame))
        return joined(parts)

    def down(self, data: bytes) -> Parts:
        return joined([(CONFIRM if kind == self.METHOD and payload[:4] == self.BASIC_ACK else None, frame)
                       for kind, _, payload, frame in self._frames("down", data)])

    def _frames(self, way: str, data: bytes):
        pending = self.pending[way] + data
        place = 0
        while len(pending) - place >= 7:
            kind, channel, size = struct.unpack_from(">BHI", pending, place)
            end = place + 7 + size + 1
            if len(pending) < end:
                break
            yield kind, channel, pending[place + 7:end - 1], pending[place:end]
            place = end
        self.pending[way] = pending[place:]


def joined(parts: Parts) -> Parts:
    """The same with fewer parts: what completes no step goes together with what comes before."""
    whole: Parts = []
    for step, part in parts:
        if step is None and whole and whole[-1][0] is None:
            whole[-1] = (None, whole[-1][1] + part)
        else:
            whole.append((step, part))
    return whole
