"""What the demo submits: every picture once, in one of the three input forms, and the things that go wrong in life."""

import dataclasses
import datetime
import json
import pathlib
import urllib.parse

from pictures import PHOTOGRAPH, Picture
from stage import BUCKET, Trouble

NATIVE, S3_EVENT, CLOUD_EVENT = "native", "S3 event", "CloudEvent"
# Records of one S3 event notification; a message is settled only when all of its records are.
RECORDS = 4


@dataclasses.dataclass
class Submission:
    """One image that must get exactly one outcome, known by its key in the bucket."""

    key: str
    name: str
    what: str
    form: str
    body: bytes | None
    # The code of the failure that is due, or "" for a verdict.
    due: str = ""
    etag: str = ""

    def native(self) -> dict:
        return {"submission_id": self.key, "image": {"bucket": BUCKET, "key": self.key}, "metadata": {"what": self.what}}


def compose(run: str, found: list[Picture]) -> list[Submission]:
    """The pictures in the three forms by turns, and among them what can't be judged. Keys begin with `run`."""
    forms = [NATIVE, S3_EVENT, CLOUD_EVENT]
    # A space, a plus and an umlaut, since S3 events write keys as forms on web pages do.
    keys = [f"{run}/{picture.name.replace('_', ' ')}" for picture in found]
    submissions = [
        Submission(key, picture.name, picture.what, forms[place % 3], picture.path.read_bytes())
        for place, (picture, key) in enumerate(zip(found, keys))
    ]
    whole = next((one.body for one in submissions if one.what == PHOTOGRAPH and one.name.endswith(".jpg")), None)
    if whole is None:
        raise Trouble("there is no JPEG among the pictures to cut short")
    bad = [
        Submission(f"{run}/cut short + più.jpg", "cut short.jpg", "5 % of a JPEG", S3_EVENT, whole[: len(whole) // 20], "decode_failed"),
        Submission(f"{run}/shopping list.png", "shopping list.png", "text", CLOUD_EVENT, b"milk, bread, butter\n", "unsupported_format"),
        Submission(f"{run}/never uploaded.jpg", "never uploaded.jpg", "no object", NATIVE, None, "object_not_found"),
    ]
    for place, one in enumerate(bad, start=1):
        submissions.insert(place * len(submissions) // 4, one)
    return submissions


def manifest(submissions: list[Submission], path: pathlib.Path) -> None:
    """Those in the native form, as `assay enqueue --manifest` reads them."""
    lines = [json.dumps(one.native()) for one in submissions if one.form == NATIVE]
    path.write_text("".join(f"{line}\n" for line in lines))


def events(submissions: list[Submission]) -> list[bytes]:
    """Those in the two other forms, as messages."""
    records = [record(one, place) for place, one in enumerate(submissions) if one.form == S3_EVENT]
    notifications = [{"Records": records[start:start + RECORDS]} for start in range(0, len(records), RECORDS)]
    clouds = [cloud_event(one) for one in submissions if one.form == CLOUD_EVENT]
    return [json.dumps(message).encode() for message in notifications + clouds]


def record(one: Submission, place: int) -> dict:
    return {
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": now(),
        "s3": {
            "bucket": {"name": BUCKET},
            "object": {"key": urllib.parse.quote_plus(one.key, safe="/"), "size": len(one.body or b""),
                       "eTag": one.etag, "sequencer": f"{place:016X}"},
        },
    }


def cloud_event(one: Submission) -> dict:
    return {"specversion": "1.0", "id": one.key, "source": "/assay/demo", "type": "assay.submission", "time": now(),
            "datacontenttype": "application/json", "data": one.native()}


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
