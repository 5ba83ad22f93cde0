"""Made of docs/schemas/appeal.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ImageRef(TypedDict):
    bucket: str
    etag: NotRequired[str | None]
    key: str
    sha256: NotRequired[str | None]
    version_id: NotRequired[str | None]


class Appeal(TypedDict):
    actor: NotRequired[str | None]
    evidence: NotRequired[ImageRef | None]
    tenant: NotRequired[str | None]
    text: str
    verdict_id: str
