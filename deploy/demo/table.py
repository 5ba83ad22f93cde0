"""The live table: one row for each outcome as it arrives."""

import sys

from stage import coloured, say, terminal
from submissions import Submission

COLUMNS = [("", 3), ("picture", 32), ("what it is", 14), ("pixels", 9), ("sent as", 10), ("outcome", 18), ("score", 5)]
TIMES = ["queue", "fetch", "decode", "infer", "record"]
OUTCOME_COLOURS = {"real": "green", "synthetic": "magenta", "uncertain": "yellow"}


class Table:
    def __init__(self, expected: int):
        self.expected = expected
        self.rows = 0
        headings = [title.rjust(width) if title in ("", "pixels", "score") else title.ljust(width) for title, width in COLUMNS]
        headings += [title.rjust(6) for title in TIMES]
        say("\n  " + coloured("  ".join(headings).rstrip() + "   milliseconds", "bold"))

    def outcome(self, one: Submission, document: dict) -> None:
        self.rows += 1
        image = document["image"]
        failed = "code" in document
        word = document["code"] if failed else document["decision"]
        pixels = f"{image['width']}×{image['height']}" if not failed else ""
        score = "" if failed else f"{document['score']['synthetic']:.2f}"
        cells = [str(self.rows), one.name, one.what, pixels, one.form, word, score]
        laid = [fit(cell, width, title) for cell, (title, width) in zip(cells, COLUMNS)]
        laid[5] = coloured(laid[5], OUTCOME_COLOURS.get(word, "red"))
        times = document.get("timing_ms", {})
        laid += [coloured(str("" if times.get(name) is None else times[name]).rjust(6), "dim") for name in TIMES]
        self._row("  ".join(laid))

    def note(self, name: str, what: str, form: str, word: str, detail: str) -> None:
        """A row that is no outcome of its own: a repetition, a dead letter."""
        cells = ["", name, what, "", form, word]
        laid = [fit(cell, width, title) for cell, (title, width) in zip(cells, COLUMNS)]
        laid[5] = coloured(laid[5], "cyan")
        self._row("  ".join(laid) + "  " + coloured(detail, "dim"))

    def waiting(self, missing: int) -> None:
        if terminal() and missing:
            print(coloured(f"  … {self.expected - missing} of {self.expected}", "dim"), end="\r", flush=True)

    def _row(self, text: str) -> None:
        if terminal():
            sys.stdout.write("\x1b[2K")
        say("  " + text.rstrip())


def fit(cell: str, width: int, title: str) -> str:
    cell = cell if len(cell) <= width else cell[: width - 1] + "…"
    return cell.rjust(width) if title in ("", "pixels", "score") else cell.ljust(width)
