"""Made of docs/schemas/label.json by clients/documents.py: change the type that the schema comes from."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

ContentType: TypeAlias = Literal['photos', 'paintings', 'faces', 'uncategorized']


class ImageRef(TypedDict):
    bucket: str
    etag: NotRequired[str | None]
    key: str
    sha256: NotRequired[str | None]
    version_id: NotRequired[str | None]


LabelledOrigin: TypeAlias = Literal['real', 'synthetic']


class Label1(TypedDict):
    actor: str
    content_type: NotRequired[ContentType | None]
    generator: NotRequired[str | None]
    origin: Literal['synthetic']
    reason: NotRequired[str | None]
    tenant: NotRequired[str | None]
    verdict_id: str


class Label2(TypedDict):
    actor: str
    content_type: NotRequired[ContentType | None]
    generator: NotRequired[str | None]
    origin: Literal['synthetic']
    reason: NotRequired[str | None]
    tenant: NotRequired[str | None]
    image: ImageRef


class Label3(TypedDict):
    actor: str
    content_type: NotRequired[ContentType | None]
    generator: NotRequired[None]
    origin: LabelledOrigin
    reason: NotRequired[str | None]
    tenant: NotRequired[str | None]
    verdict_id: str


class Label4(TypedDict):
    actor: str
    content_type: NotRequired[ContentType | None]
    generator: NotRequired[None]
    origin: LabelledOrigin
    reason: NotRequired[str | None]
    tenant: NotRequired[str | None]
    image: ImageRef


Label: TypeAlias = Label1 | Label2 | Label3 | Label4
