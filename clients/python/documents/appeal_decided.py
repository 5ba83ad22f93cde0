"""Made of docs/schemas/appeal_decided.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

AppealResult: TypeAlias = Literal['upheld', 'overturned']


ReviewGround: TypeAlias = Literal['provenance', 'known_source', 'uploaders_original', 'visible_artefact', 'by_eye']


class AppealDecided(TypedDict):
    appeal_id: str
    decided_at: str
    decided_by: list[str]
    grounds: list[ReviewGround]
    outcome_id: str
    reason: str
    result: AppealResult
    schema: Literal['assay.appeal_decided.v1']
    submission_id: str
    tenant: str
