"""What came of each row: the table, and target/chaos/report.json."""

import dataclasses
import json
import pathlib

from checker import Findings

SHOWN = 4


@dataclasses.dataclass
class Result:
    name: str
    title: str
    trials: int = 0
    seconds: float = 0.0
    findings: Findings = dataclasses.field(default_factory=Findings)
    recovery_seconds: list[float] = dataclasses.field(default_factory=list)
    # What the row claims beside the checker, where it did not hold.
    broken: list[str] = dataclasses.field(default_factory=list)
    details: dict = dataclasses.field(default_factory=dict)
    not_run: str = ""

    def good(self) -> bool:
        return bool(self.not_run) or self.findings.good() and not self.broken

    def complaints(self) -> list[str]:
        return self.broken + self.findings.complaints()

    def recovery(self) -> float | None:
        return max(self.recovery_seconds, default=None)

    def cells(self) -> list[str]:
        if self.not_run:
            return [self.name, self.title, "", "", "", "", "", "", f"not run: {self.not_run}"]
        found, recovery = self.findings, self.recovery()
        return [self.name, self.title, str(self.trials), str(found.submissions), str(len(found.lost)), str(len(found.doubled)),
                str(found.repeated_publications), "" if recovery is None else f"{recovery:.1f} s", "yes" if self.good() else "NO"]

    def json(self) -> dict:
        found = self.findings
        recovery = self.recovery()
        return {"title": self.title, "trials": self.trials, "submissions": found.submissions, "lost": len(found.lost),
                "doubled": len(found.doubled), "repeated_publications": found.repeated_publications,
                "recovery_seconds_max": None if recovery is None else round(recovery, 2), "good": self.good(), "seconds": round(self.seconds, 1),
                "ends": dict(found.ends), "complaints": self.complaints(), "details": self.details,
                **({"not_run": self.not_run} if self.not_run else {})}


def table(results: list[Result]) -> str:
    head = ["fault", "", "trials", "submissions", "lost", "doubled", "repeated", "recovery", "as promised"]
    rows = [head, *(result.cells() for result in results)]
    figures = range(2, 8)
    widths = [max(len(row[column]) for row in rows if column < 8 or row is head) for column in range(9)]
    lines = ["  ".join(cell.rjust(width) if column in figures else cell.ljust(width)
                       for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def complaints(results: list[Result], seed: int, form: str) -> str:
    lines = []
    for result in results:
        found = result.complaints()
        if result.good():
            continue
        lines.append(f"{result.name}: again with  {command(result.name, seed, form)}")
        lines += [f"    {complaint}" for complaint in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"    and {len(found) - SHOWN} more")
    return "\n".join(lines)


def command(name: str, seed: int, form: str) -> str:
    short = " --short" if form == "short" else ""
    return f'make chaos CHAOS="--only {name} --seed {seed}{short}"'


def write(path: pathlib.Path, results: list[Result], seed: int, form: str, seconds: float) -> None:
    faults = {result.name: result.json() | {"seed": seed, "again": command(result.name, seed, form)} for result in results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seed": seed, "form": form, "seconds": round(seconds, 1), "faults": faults}, indent=1) + "\n")


def one_line(result: Result) -> str:
    if result.not_run:
        return f"{result.name}: not run: {result.not_run}"
    found, recovery = result.findings, result.recovery()
    ends = ", ".join(f"{count} {end}" for end, count in sorted(found.ends.items()))
    return (f"{result.name}: {'as promised' if result.good() else 'NOT AS PROMISED'}, {result.trials} trials, {found.submissions} submissions, "
            f"lost {len(found.lost)}, doubled {len(found.doubled)}, {found.repeated_publications} published again"
            + ("" if recovery is None else f", recovery {recovery:.1f} s") + f"; {result.seconds:.0f} s; {ends}")
