"""What the submissions point at: small pictures of several formats, and what only looks like one."""

import dataclasses
import hashlib
import io
import random

from PIL import Image, ImageDraw

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
ENDS_OF_MUTANTS = frozenset({"verdict", "decode_failed", "unsupported_format", "too_large"})
# So much of a file is mostly what describes the rest.
HEADER = 700


@dataclasses.dataclass(frozen=True)
class Object:
    """An object of the bucket. `due`: `verdict`, or the code of the failure that it ends in."""

    key: str
    body: bytes
    due: str
    etag: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def good(rng: random.Random, prefix: str, count: int) -> list[Object]:
    found = []
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        # A space and a plus, since S3's events write keys as forms on web pages do.
        found.append(Object(f"{prefix}/good {number}+.{kind.lower()}", encoded(picture(rng), kind), "verdict"))
    return found


def bad(rng: random.Random, prefix: str) -> list[Object]:
    """Text, and damaged pictures of every format in which damage can be seen."""
    found = [Object(f"{prefix}/text.png", b"milk, bread, butter\n", "unsupported_format"), Object(f"{prefix}/empty.jpg", b"", "decode_failed")]
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        body = encoded(picture(rng), kind)
        found.append(Object(f"{prefix}/cut short.{kind.lower()}", body[:len(body) * 3 // 10], "decode_failed"))
    return found


def picture(rng: random.Random) -> Image.Image:
    """Of the size of a thumbnail, so that decoding is not what a run waits for."""
    width, height = rng.randrange(120, 420), rng.randrange(120, 420)
    coarse = (width // rng.randrange(1, 6), height // rng.randrange(1, 6))
    image = Image.frombytes("RGB", coarse, rng.randbytes(coarse[0] * coarse[1] * 3)).resize((width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.randrange(width), rng.randrange(height)
        draw.rectangle([x, y, x + rng.randrange(20, 120), y + rng.randrange(20, 120)], fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def mutated(rng: random.Random, one: Object, key: str) -> Object:
    """A good picture with some bytes changed, half of the time only where the file describes itself."""
    body = bytearray(one.body)
    reach = len(body) if rng.random() < 0.5 else min(HEADER, len(body))
    for _ in range(rng.randint(1, 20)):
        body[rng.randrange(reach)] = rng.randrange(256)
    return Object(key, bytes(body), "verdict")


def with_note(one: Object, note: str) -> Object:
    """The same JPEG in other bytes, under a key of its own: a comment after the first marker."""
    text = note.encode()
    body = one.body[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + one.body[2:]
    return dataclasses.replace(one, key=f"chaos/noted/{note}.jpeg", body=body)


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()
