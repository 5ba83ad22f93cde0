"""The commands of a document: its fenced shell blocks, and what the comment before each says of who runs it."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# `<!-- run: integrator -->` before a block: by that role. `<!-- run by: tests/it/least_rights.rs -->`: by that test.
# `<!-- not run: needs Docker -->`: by nothing, and why.
MARK = re.compile(r"\s*<!-- (run|run by|not run): (.+) -->")
SHELL = {"sh", "bash", "shell", "console"}


@dataclasses.dataclass
class Block:
    document: str
    line: int
    text: str
    # ("run", "integrator"); None where nobody says.
    mark: tuple[str, str] | None


def blocks(path: pathlib.Path) -> list[Block]:
    """The shell blocks in their order."""
    found, before, language, first, lines = [], "", None, 0, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = re.match(r"\s*```\s*(\S*)", line)
        if fence is None:
            if language is not None:
                lines.append(line)
            elif line.strip():
                before = line
        elif language is None:
            language, first, lines = fence[1], number + 1, []
        else:
            mark = MARK.fullmatch(before)
            if language in SHELL:
                document = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
                found.append(Block(document, first, "\n".join(lines), (mark[1], mark[2]) if mark else None))
            language, before = None, ""
    return found


def of_role(role: str, documents: list[str]) -> list[Block]:
    return [block for name in documents for block in blocks(ROOT / name) if block.mark == ("run", role)]
