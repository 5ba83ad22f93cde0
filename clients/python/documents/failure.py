"""Made of docs/schemas/failure.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

FailureCode: TypeAlias = Literal['expired', 'erased', 'deadline_exceeded', 'bucket_not_allowed', 'object_not_found', 'access_denied', 'content_mismatch', 'too_large', 'object_store_unavailable', 'unsupported_format', 'decoder_unavailable', 'decode_failed', 'internal_error', 'inference_failed']


class ImageRef(TypedDict):
    bucket: str
    etag: str | None
    key: str
    sha256: str | None
    version_id: str | None


Purpose: TypeAlias = Literal['live', 'backfill', 'reverdict']


Stage: TypeAlias = Literal['intake', 'fetch', 'decode', 'infer']


class Failure(TypedDict):
    at: str
    attempt: int
    code: FailureCode
    detail: str
    failure_id: str
    generation: int
    image: ImageRef
    metadata: dict[str, Any]
    purpose: Purpose
    retryable: bool
    schema: Literal['assay.failure.v1']
    stage: Stage
    submission_id: str
    supersedes: str | None
    tenant: str
    title: str
