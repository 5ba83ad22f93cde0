"""Made of docs/schemas/erased.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Literal, TypedDict


class ErasedSubmission(TypedDict):
    outcome_ids: list[str]
    submission_id: str


class Erased(TypedDict):
    at: str
    erasure_id: str
    schema: Literal['assay.erased.v1']
    submissions: list[ErasedSubmission]
    tenant: str
