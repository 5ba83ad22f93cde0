"""Made of docs/schemas/request.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class ImageRef(TypedDict):
    bucket: str
    etag: NotRequired[str | None]
    key: str
    sha256: NotRequired[str | None]
    version_id: NotRequired[str | None]


Purpose: TypeAlias = Literal['live', 'backfill', 'reverdict']


class Request(TypedDict):
    deadline: NotRequired[str | None]
    generation: NotRequired[int | None]
    image: ImageRef
    metadata: NotRequired[dict[str, Any] | None]
    purpose: NotRequired[Purpose | None]
    submission_id: str
    tenant: NotRequired[str | None]
