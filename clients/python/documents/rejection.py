"""Made of docs/schemas/rejection.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

RejectionCode: TypeAlias = Literal['unreadable', 'conflict']


class Rejection(TypedDict):
    at: str
    code: RejectionCode
    message_id: str | None
    queue: str
    reason: str
    rejection_id: str
    schema: Literal['assay.rejection.v1']
    submission_id: str | None
    tenant: str | None
