"""From the binary to a verdict on a picture of one's own."""

import textures

DOCUMENTS = ["README.md"]


def prepare(place) -> list[tuple[str, str]]:
    # A viewer looks at the bytes, not at the name, and so do the decoders.
    (place.folder / "photo.jpg").write_bytes(textures.png(0))
    return [
        # It is built, and the servers are up.
        ("make build ", ": "),
        ("assay results --count 1 --json", "assay results --count 1 --json --timeout 120 | tee outcome.json"),
    ]


def outcome(place) -> str:
    import json

    found = json.loads((place.folder / "outcome.json").read_text())
    return f"the picture is {found['decision']} ({found['score']['synthetic']:.2f})"
