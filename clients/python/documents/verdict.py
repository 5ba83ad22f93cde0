"""Made of docs/schemas/verdict.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

Action: TypeAlias = Literal['none', 'label', 'limit', 'review', 'block']


class AppliedPolicy(TypedDict):
    action: Action
    because: str | None
    rule: str | None
    version: str


C2pa: TypeAlias = Literal['present']


class Candidate(TypedDict):
    label: str
    score: float


Claim: TypeAlias = Literal['claimed_synthetic', 'claimed_edit', 'claimed_capture', 'none']


DecidedBy: TypeAlias = Literal['model', 'review']


Decision: TypeAlias = Literal['real', 'synthetic', 'uncertain']


Format: TypeAlias = Literal['jpeg', 'png', 'webp', 'gif', 'bmp', 'tiff', 'avif', 'jxl', 'heic']


class Frames(TypedDict):
    judged: int
    of: int


class GeneratorGuess(TypedDict):
    candidates: list[Candidate]
    confidence: float | None
    family: str
    label: str
    novelty: float | None


HintKind: TypeAlias = Literal['digital_source_type', 'generator_settings', 'software', 'camera_make']


class JudgedImage(TypedDict):
    bucket: str
    bytes: int
    etag: str | None
    format: Format
    height: int
    key: str
    sha256: str
    version_id: str | None
    width: int


class ModelRef(TypedDict):
    labels: str
    sha256: str
    trained: bool
    version: str


class Previous(TypedDict):
    action: Action | None
    decision: Decision
    model_version: str
    outcome_id: str
    synthetic: float


Purpose: TypeAlias = Literal['live', 'backfill', 'reverdict']


Quality: TypeAlias = Literal['low_resolution', 'animated', 'transparent', 'greyscale', 'damaged', 'unfamiliar_codec']


ReviewGround: TypeAlias = Literal['provenance', 'known_source', 'uploaders_original', 'visible_artefact', 'by_eye']


class Reviewed(TypedDict):
    decision_id: str
    grounds: list[ReviewGround]
    outcome_id: str
    reviewers: list[str]


class Score(TypedDict):
    calibrated: bool
    logit: float
    synthetic: float
    threshold_high: float
    threshold_low: float


class Timing(TypedDict):
    batch: int
    decode: int
    fetch: int
    infer: int
    queue: int | None
    record: int


class WorkerRef(TypedDict):
    device: str
    version: str


class Hint(TypedDict):
    kind: HintKind
    name: str | None


Provenance = TypedDict(
    'Provenance',
    {
        'c2pa': C2pa | None,
        'class': Claim,
        'hints': list[Hint],
    },
)


class Verdict(TypedDict):
    attempt: int
    batch_size: int
    decided_at: str
    decided_by: DecidedBy
    decision: Decision
    frames: Frames | None
    generation: int
    generator: GeneratorGuess | None
    image: JudgedImage
    metadata: dict[str, Any]
    model: ModelRef
    policy: AppliedPolicy | None
    previous: Previous | None
    provenance: Provenance | None
    purpose: Purpose
    quality: list[Quality]
    reused_from: str | None
    review: Reviewed | None
    schema: Literal['assay.verdict.v1']
    score: Score
    submission_id: str
    supersedes: str | None
    tenant: str
    timing_ms: Timing
    verdict_id: str
    worker: WorkerRef
