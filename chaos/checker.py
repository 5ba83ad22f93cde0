"""The one judge of every row: what was submitted, held against what there is at the end.

Pure: it reads no server. Every submission must have ended in exactly one verdict row, one failure row or one dead
letter; each row must have been published, always under the row's own id and with the row's own bytes; nothing else may
be there. A publication or a dead letter that comes again with the same id and the same bytes is counted, and allowed.
"""

import collections
import dataclasses
import json
from decimal import Decimal

VERDICT, DEAD, ERASED, REVIEWED = "verdict", "dead", "erased", "reviewed"


@dataclasses.dataclass(frozen=True)
class Submission:
    """`id` is the submission's id, or the message's id where the body can't be read. `due`: the ends that are right for
    it, each `verdict`, `dead` or the code of a failure; `erased` alone for what was judged and then erased, `reviewed` alone for what was
    judged and then decided otherwise by people. `sha256`: of the only bytes that a verdict may rest on."""

    id: str
    due: frozenset[str]
    sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    id: str
    # `verdict` or the failure's code.
    kind: str
    outcome_id: str
    document: bytes


@dataclasses.dataclass(frozen=True)
class Publication:
    """`id` is what the message says of the submission: its correlation id."""

    id: str
    message_id: str
    body: bytes


@dataclasses.dataclass(frozen=True)
class Letter:
    """A dead letter."""

    id: str
    body: bytes
    reason: str


@dataclasses.dataclass
class Evidence:
    """Everything that was found at the end."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    publications: list[Publication] = dataclasses.field(default_factory=list)
    letters: list[Letter] = dataclasses.field(default_factory=list)
    # Messages still on the work queues: name → how many.
    left: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Findings:
    submissions: int = 0
    # Without an end, or with a row that nobody was told of.
    lost: list[str] = dataclasses.field(default_factory=list)
    # With two ends, two ids, two texts, or an end that nobody asked for.
    doubled: list[str] = dataclasses.field(default_factory=list)
    # With one end that is not the right one, or on the wrong bytes.
    wrong: list[str] = dataclasses.field(default_factory=list)
    # What is still on the queues.
    left: list[str] = dataclasses.field(default_factory=list)
    repeated_publications: int = 0
    ends: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, other: "Findings") -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.left)

    def complaints(self) -> list[str]:
        return self.lost + self.doubled + self.wrong + self.left


def judge(submissions: list[Submission], evidence: Evidence) -> Findings:
    findings = Findings(submissions=len(submissions))
    rows, publications, letters = (_by_id(found) for found in (evidence.rows, evidence.publications, evidence.letters))
    known = {one.id for one in submissions}
    for what, found in (("a row", rows), ("a publication", publications), ("a dead letter", letters)):
        findings.doubled += [f"{id}: {what} for a submission that nobody made" for id in found if id not in known]
    for one in submissions:
        _judge_one(one, rows[one.id], publications[one.id], letters[one.id], findings)
    findings.left = [f"{queue}: {count} messages left" for queue, count in evidence.left.items() if count]
    return findings


def _by_id(found: list) -> dict[str, list]:
    by_id: dict[str, list] = collections.defaultdict(list)
    for one in found:
        by_id[one.id].append(one)
    return by_id


def _judge_one(one: Submission, rows: list[Row], publications: list[Publication], letters: list[Letter], findings: Findings) -> None:
    if one.due == {ERASED}:
        return _judge_erased(one, rows, publications, letters, findings)
    if one.due == {REVIEWED}:
        return _judge_reviewed(one, rows, publications, letters, findings)
    ends = [row.kind for row in rows] + ([DEAD] if letters else [])
    if not ends:
        findings.lost.append(f"{one.id}: no end" + (", though one was published" if publications else ""))
        return
    if len(ends) > 1:
        findings.doubled.append(f"{one.id}: ended {len(ends)} times: {', '.join(ends)}")
    if len({letter.body for letter in letters}) > 1:
        findings.doubled.append(f"{one.id}: dead letters of different content")
    if rows and not publications:
        findings.lost.append(f"{one.id}: a row that was never published")
    if publications and not rows:
        findings.doubled.append(f"{one.id}: published without a row")
    ids = {publication.message_id for publication in publications} | {row.outcome_id for row in rows}
    if len(ids) > 1:
        findings.doubled.append(f"{one.id}: {len(ids)} ids for one outcome: {', '.join(sorted(ids))}")
    texts = {publication.body for publication in publications}
    if len(texts) > 1:
        findings.doubled.append(f"{one.id}: {len(texts)} different texts of one outcome")
    # The database puts a document together from columns: the same members in another order, and -4 for a logit of -4.0.
    documents = [json.loads(text, parse_int=Decimal, parse_float=Decimal) for text in texts | {row.document for row in rows}]
    if any(document != documents[0] for document in documents):
        findings.doubled.append(f"{one.id}: what was published is not what is recorded")
    findings.repeated_publications += max(0, len(publications) - 1) + max(0, len(letters) - 1)
    findings.ends.update(ends[:1])
    if ends[0] not in one.due:
        findings.wrong.append(f"{one.id}: ended in {ends[0]}, where {' or '.join(sorted(one.due))} was due")
    for row in rows:
        judged = json.loads(row.document)["image"]["sha256"] if row.kind == VERDICT else ""
        if judged and one.sha256 and judged != one.sha256:
            findings.wrong.append(f"{one.id}: a verdict on other bytes than were stored")


def _judge_erased(one: Submission, rows: list[Row], publications: list[Publication], letters: list[Letter], findings: Findings) -> None:
    """It was judged once, and after that every message of it is told that it was erased; nothing of it is recorded."""
    if rows or letters:
        findings.doubled.append(f"{one.id}: erased, and {'recorded' if rows else 'dead-lettered'} again")
    codes = [json.loads(publication.body).get("code") for publication in publications]
    verdicts = {publication.body for publication, code in zip(publications, codes) if code is None}
    if len(verdicts) > 1:
        findings.doubled.append(f"{one.id}: {len(verdicts)} different verdicts of what was erased")
    if ERASED not in codes:
        findings.lost.append(f"{one.id}: a message that came after the erasure was not answered")
    findings.wrong += [f"{one.id}: ended in {code}, where {ERASED} was due" for code in codes if code not in (None, ERASED)]
    findings.repeated_publications += max(0, codes.count(None) - 1)
    findings.ends.update([ERASED])


def _judge_reviewed(one: Submission, rows: list[Row], publications: list[Publication], letters: list[Letter], findings: Findings) -> None:
    """The model's verdict and the people's, each recorded once and published under its own id with its own bytes."""
    found = sorted((document["generation"], document.get("decided_by")) for document in (json.loads(row.document) for row in rows))
    if len(rows) < 2:
        findings.lost.append(f"{one.id}: what people decided is no verdict; there are {found}")
    if len(rows) > 2 or letters:
        findings.doubled.append(f"{one.id}: reviewed once, and there are {found}, and {len(letters)} dead letters")
    if len(rows) == 2 and found != [(0, "model"), (1, "review")]:
        findings.wrong.append(f"{one.id}: the verdicts are {found}")
    texts: dict[str, set[bytes]] = collections.defaultdict(set)
    for publication in publications:
        texts[publication.message_id].add(publication.body)
    ids = {row.outcome_id for row in rows}
    findings.lost += [f"{one.id}: {id} was never published" for id in ids - texts.keys()]
    findings.doubled += [f"{one.id}: {id} was published and is not recorded" for id in texts.keys() - ids]
    findings.doubled += [f"{one.id}: {len(bodies)} different texts of {id}" for id, bodies in texts.items() if len(bodies) > 1]
    findings.repeated_publications += max(0, len(publications) - len(texts))
    findings.ends.update([REVIEWED])
