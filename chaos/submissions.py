"""What is sent: each message with the submissions in it and the end that is due for each."""

import dataclasses
import hashlib
import json
import random
import urllib.parse
import zlib

import pictures
from checker import DEAD, VERDICT, Submission
from pictures import Object

BUCKET = "uploads"
LIVE, BULK = "images", "images.bulk"
# Of a hundred messages. `repeated`: sent before; `event`: S3's, with several images; `missing`: no object; `bad`: an object that
# is no whole picture; `mutant`: one with some bytes changed; `unreadable`: nobody can read the message.
SHARES = {"good": 70, "cloud event": 7, "event": 8, "repeated": 6, "bad": 3, "missing": 2, "mutant": 2, "unreadable": 2}
# Of a hundred good pictures: bytes of their own. What was judged before is not scored again.
FRESH = 30
# Of a hundred messages: by the other queue.
BACKFILL = 10
RECORDS = 3


@dataclasses.dataclass(frozen=True)
class Message:
    queue: str
    body: bytes
    message_id: str
    submissions: list[Submission]


class Composer:
    """Messages without an end, in an order that follows from the seed."""

    def __init__(self, rng: random.Random, world, name: str):
        self.rng, self.world, self.name = rng, world, name
        # Ends that every picture may have, beside its own.
        self.also: frozenset[str] = frozenset()
        self.count = 0
        self.recent: list[Message] = []

    def next(self) -> Message:
        [kind] = self.rng.choices(list(SHARES), SHARES.values())
        if kind == "repeated" and self.recent:
            return self.rng.choice(self.recent)
        self.count += 1
        id = f"{self.name}/{self.count}"
        match kind:
            case "unreadable":
                body = f'{{"submission_id": "{id}", "image": '.encode()
                return Message(LIVE, body, id, [Submission(id, frozenset({DEAD}))])
            case "event":
                message = self._event(id)
            case "mutant":
                one = pictures.mutated(self.rng, self.rng.choice(self.world.good), f"chaos/mutants/{id}")
                message = self.native(id, self.world.put_one(one), due=pictures.ENDS_OF_MUTANTS | self.also)
            case "missing":
                message = self.native(id, Object(f"{self.name}/nowhere.jpg", b"", "object_not_found"))
            case "bad":
                message = self.native(id, self.rng.choice(self.world.bad))
            case _:
                message = self.native(id, self._good(), cloud=kind == "cloud event")
        self.recent = [*self.recent[-40:], message]
        return message

    def native(self, id: str, one: Object, cloud: bool = False, due: frozenset[str] | None = None, checked: bool = False,
               queue: str = "") -> Message:
        """`checked`: the submitter says which bytes it means."""
        image = {"bucket": BUCKET, "key": one.key}
        if checked:
            image |= {"etag": one.etag, "sha256": one.sha256}
        document: dict = {"submission_id": id, "image": image}
        if cloud:
            document = {"specversion": "1.0", "id": id, "source": "/assay/chaos", "type": "assay.submission", "data": document}
        queue = queue or (BULK if zlib.crc32(id.encode()) % 100 < BACKFILL else LIVE)
        return Message(queue, json.dumps(document).encode(), id, [Submission(id, due or self._due(one), sha256(one))])

    def _event(self, id: str) -> Message:
        """One message with several images, as a bucket sends it."""
        records, submissions = [], []
        for number, one in enumerate(self.rng.choices(self.world.good, k=RECORDS)):
            sequencer = f"{self.count:012X}{number:04X}"
            described = {"key": urllib.parse.quote_plus(one.key, safe="/"), "size": len(one.body), "eTag": one.etag, "sequencer": sequencer}
            records.append({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": described}})
            submissions.append(Submission(event_id(BUCKET, one.key, one.etag, sequencer), self._due(one), one.sha256))
        return Message(LIVE, json.dumps({"Records": records}).encode(), id, submissions)

    def _due(self, one: Object) -> frozenset[str]:
        return frozenset({one.due}) | self.also

    def _good(self) -> Object:
        """One of the pictures that are there, or now and then bytes that nobody has seen."""
        one = self.rng.choice(self.world.good)
        if self.rng.randrange(100) >= FRESH:
            return one
        one = pictures.with_note(self.rng.choice(self.world.notable), f"{self.name}/{self.count}")
        return self.world.put_one(one)


def sha256(one: Object) -> str:
    return one.sha256 if one.due == VERDICT else ""


def event_id(bucket: str, key: str, etag: str, sequencer: str) -> str:
    """The id that the worker gives to a record without a version."""
    digest = hashlib.sha256()
    for part in (bucket, key, "", etag, sequencer):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"s3:{bucket}/{key}:{digest.digest()[:12].hex()}"
