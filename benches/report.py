"""What was measured: medians and spreads of rounds, the table, target/bench/report.json."""

import dataclasses
import json
import pathlib
import platform
import statistics
import time


@dataclasses.dataclass
class Spread:
    """A figure of each round."""

    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def json(self) -> dict:
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "rounds": self.values}


def ratio(ours: list[float], peers: list[float]) -> Spread:
    """Round by round, so that what slows a whole round down does not count."""
    return Spread([one / other for one, other in zip(ours, peers)])


@dataclasses.dataclass
class Row:
    """One line of the table. `target` is the least that `value` should be, or the most where `most` says so."""

    key: str
    what: str
    value: Spread
    target: float | None
    ours: str = ""
    peer: str = ""
    unit: str = "×"
    most: bool = False

    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value.median <= self.target if self.most else self.value.median >= self.target

    def cells(self) -> list[str]:
        spread = f"{number(self.value.median)}{self.unit}"
        if len(self.value.values) > 1:
            spread += f" ({number(min(self.value.values))}–{number(max(self.value.values))})"
        target = "" if self.target is None else f"{'≤' if self.most else '≥'} {number(self.target)}{self.unit}"
        reached = {True: "yes", False: "no", None: ""}[self.reached()]
        return [self.what, self.ours, self.peer, spread, target, reached]


def aligned(rows: list[list[str]]) -> list[str]:
    """Lines of cells under each other, the first row ruled off."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Report:
    def __init__(self, machine: dict):
        self.machine = machine
        self.rows: list[Row] = []
        self.raw: dict = {}
        self.resident: dict[str, float] = {}
        self.notes: list[str] = []
        # Beside the table of ratios: rows of cells, the first the heads.
        self.tables: list[list[list[str]]] = []
        # Sections that were not run, and keys of figures that this machine can't give, with the reason.
        self.missing: list[str] = []
        self.absent: dict[str, str] = {}
        # Figures that are words, by their keys.
        self.words: dict[str, str] = {}
        self.began = time.time()

    def table(self) -> str:
        rows = [["what", "ours", "peer", "ratio (of rounds)", "target", "reached"], *(row.cells() for row in self.rows)]
        rows += [[what, "", "", "not measured", "", ""] for what in [*self.absent.values(), *self.missing]]
        lines = aligned(rows)
        memory = ", ".join(f"{name} {resident:,.0f}" for name, resident in self.resident.items())
        if memory:
            lines.append(f"most memory held, MB: {memory}")
        machine = self.machine
        features = ", ".join(name for name, there in machine["features"].items() if there) or "neither bf16 nor AMX"
        lines.append(f"machine: {machine['cpu']}, {machine['cores']} cores, {features}; {machine['busy_before']:.1f} cores busy before the start")
        if not machine["features"]["amx_bf16"]:
            lines.append("The engine's targets are for processors with AMX, which this one lacks.")
        beside = [line for table in self.tables for line in ["", *aligned(table)]]
        return "\n".join([*lines, *self.notes, *beside])

    def write(self, path: pathlib.Path) -> None:
        report: dict = {"machine": self.machine, "began": self.began, "seconds": time.time() - self.began}
        for row in self.rows:
            place = report
            *folders, name = row.key.split(".")
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = row.value.median
        report |= dict.fromkeys(self.absent) | self.words
        report["peak_resident_mb"] = {name: round(resident, 1) for name, resident in self.resident.items()}
        report["rows"] = [
            {"key": row.key, "what": row.what, "ours": row.ours, "peer": row.peer, "target": row.target,
             "reached": row.reached(), **row.value.json()} for row in self.rows]
        report["notes"], report["raw"] = self.notes, self.raw
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n")


def machine() -> dict:
    """The processor, and how busy it is before anything is measured."""
    information = pathlib.Path("/proc/cpuinfo").read_text()
    values = dict(line.split("\t: ", 1) for line in information.split("\n\n")[0].replace("\t\t:", "\t:").splitlines() if "\t: " in line)
    values = {name.strip(): value for name, value in values.items()}
    flags = values.get("flags", "").split()
    features = {name: name in flags for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2")}
    cores = information.count("processor\t:")
    return {"cpu": values.get("model name", platform.processor()), "cores": cores, "features": features,
            "kernel": platform.release(), "busy_before": _busy(1.0)}


def _busy(seconds: float) -> float:
    def read() -> int:
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        return sum(map(int, fields)) - int(fields[3]) - int(fields[4])

    before = read()
    time.sleep(seconds)
    return (read() - before) / 100 / seconds
