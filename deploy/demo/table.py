"""The live table: one row for each outcome as it arrives."""

import sys

from stage import coloured, say, terminal
from submissions import Submission

COLUMNS = [("picture", 26), ("what it is", 14), ("pixels", 9), ("sent as", 10), ("outcome", 18), ("score", 5)]
RIGHT = ("pixels", "score")
OUTCOME = 4
# Of the verdict's timings, in milliseconds; a row without them says something else there.
TIMES = ["queue", "fetch", "decode", "infer"]
DETAIL = 48
OUTCOME_COLOURS = {"real": "green", "synthetic": "magenta", "uncertain": "yellow"}


class Table:
    def __init__(self, expected: int):
        self.expected = expected
        self.untrained = False
        headings = [fit(title, width, title) for title, width in COLUMNS] + [title.rjust(6) for title in TIMES]
        say("\n  " + coloured("  ".join(headings) + "  (ms)", "bold"))

    def outcome(self, one: Submission, document: dict) -> None:
        if "code" in document:
            self._row([one.name, one.what, "", one.form, document["code"], ""], "red", [document["title"]])
            return
        image, decision, times = document["image"], document["decision"], document["timing_ms"]
        untrained = not document["model"]["trained"]
        self.untrained |= untrained
        cells = [one.name, one.what, f"{image['width']}×{image['height']}", one.form, decision + "?" * untrained,
                 f"{document['score']['synthetic']:.2f}"]
        self._row(cells, OUTCOME_COLOURS[decision], [str("" if times[name] is None else times[name]).rjust(6) for name in TIMES])

    def note(self, name: str, what: str, form: str, word: str, detail: str) -> None:
        """A row that is no outcome of its own: a repetition, a dead letter."""
        self._row([name, what, "", form, word, ""], "cyan", [detail])

    def waiting(self, missing: int) -> None:
        if terminal() and missing:
            print(coloured(f"  … {self.expected - missing} of {self.expected}", "dim"), end="\r", flush=True)

    def end(self) -> None:
        say(coloured("\n  ? the model is untrained: its verdicts say nothing about the images", "yellow") if self.untrained else "")

    def _row(self, cells: list[str], colour: str, rest: list[str]) -> None:
        laid = [fit(cell, width, title) for cell, (title, width) in zip(cells, COLUMNS)]
        laid[OUTCOME] = coloured(laid[OUTCOME], colour)
        if len(rest) == 1:
            rest = [shorten(rest[0], DETAIL)]
        if terminal():
            sys.stdout.write("\x1b[2K")
        say("  " + "  ".join(laid + [coloured(cell, "dim") for cell in rest]).rstrip())


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def fit(cell: str, width: int, title: str) -> str:
    cell = shorten(cell, width)
    return cell.rjust(width) if title in RIGHT else cell.ljust(width)
