"""The rows of the table: what is broken, how often, and the function that does it."""

import collections.abc
import dataclasses

ROWS: list["Row"] = []


class NotRun(Exception):
    """Why a row can't be run here."""


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    # Trials in the full and in the short form; 0: not part of it.
    full: int
    short: int
    act: collections.abc.Callable


def row(name: str, title: str, full: int, short: int):
    """Enters a function of a scene into the table."""

    def enter(act):
        ROWS.append(Row(name, title, full, short, act))
        return act

    return enter
