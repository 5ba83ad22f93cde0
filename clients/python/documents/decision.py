"""Made of docs/schemas/decision.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

LabelledOrigin: TypeAlias = Literal['real', 'synthetic']


ReviewGround: TypeAlias = Literal['provenance', 'known_source', 'uploaders_original', 'visible_artefact', 'by_eye']


class ReviewDecision(TypedDict):
    decided_at: str
    decision: LabelledOrigin
    decision_id: str
    generation: int
    generator: str | None
    grounds: list[ReviewGround]
    outcome_id: str
    reviewers: list[str]
    schema: Literal['assay.decision.v1']
    submission_id: str
    tenant: str
