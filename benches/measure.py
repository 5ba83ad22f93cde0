"""Measures, pair by pair: in each round everybody takes a turn, so that a slow minute of the machine slows all."""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time

import campaign
import pictures
import report as reports
import training
import whole
from contestants import HERE, KEPT_MEMORY, Contestant, Trouble
from report import Report, Row, Spread, ratio

ROOT = HERE.parent
# Decoders run on one thread: by their processor time others on the machine hardly count.
CPU = "processor_seconds"
SECTIONS = ["engine", "decode", "worker", "pipeline", "campaign", "start", "training"]
MACS = 83_565_216_768  # of one image in resnet50-nodown
# PyTorch's ways to run the network, in every precision that the processor multiplies: name → what it is, whether it takes one that
# multiplies bf16. Others emulate it.
PEERS = {
    "eager_fp32": ("PyTorch eager fp32", False),
    "channels_last_fp32": ("PyTorch fp32, channels_last", False),
    "compiled_fp32": ("torch.compile fp32, frozen", False),
    "autocast_bf16": ("PyTorch autocast bf16, channels_last", True),
    "compiled_bf16": ("torch.compile bf16, frozen", True),
}
BEST_TARGET = 1.3
DECODING_TARGETS = {"640x480": 3.0, "1920x1080": 6.0, "12mp": 11.0, "12mp_progressive": None}


class Stage:
    """What all sections share: where things are, how long and how often to measure."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.assay, self.bench = args.assay, args.bench
        self.folder = ROOT / ".local" / "bench"
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.model = self.folder / "model"
        self.small = ROOT / "models" / "small"
        # The fastest of PyTorch's ways with the network of `model`, as this run or an earlier one on this machine found it.
        self.best_peer = self.folder / "best_peer"
        self.rounds = args.rounds or (2 if args.quick else 5)
        self.seconds = 1.0 if args.quick else 3.0
        self.quick = args.quick
        self.base_port = args.base_port
        self.libraries = {"TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor")}
        if args.libraries:
            self.libraries["LD_LIBRARY_PATH"] = args.libraries
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"bench {time.monotonic() - self.began:4.0f} s  {text}", flush=True)

    def uploads(self) -> tuple[list[bytes], pathlib.Path]:
        return pictures.uploads(self.folder / "pictures", 64)

    def engine(self, crops: pathlib.Path, model: pathlib.Path | None = None) -> Contestant:
        return Contestant("our engine", [self.bench, "engine", "--model", model or self.model, "--crops", crops], self.logs / "engine.log")

    def torch(self, how: str, crops: pathlib.Path, model: pathlib.Path) -> Contestant:
        command = [sys.executable, HERE / "peer_torch.py", how, "--weights", model / "weights.safetensors", "--crops", crops]
        memory = {} if how == "eager_fp32" else KEPT_MEMORY
        return Contestant(f"PyTorch {how}", command, self.logs / f"{how}.log", self.libraries | memory)

    def ways(self, report: Report) -> list[str]:
        """PyTorch's ways that make sense on this processor."""
        has_bf16 = report.machine["features"]["avx512_bf16"]
        return [how for how, (_, bf16) in PEERS.items() if has_bf16 or not bf16]

    def share(self, rate: float, least: int = 1) -> int:
        """How many make a round of about the right length, in whole batches."""
        return max(1, round(rate * self.seconds / least)) * least


def prepare_model(stage: Stage) -> None:
    if not (stage.model / "manifest.json").exists():
        import subprocess

        shutil.rmtree(stage.model, ignore_errors=True)
        done = subprocess.run([stage.assay, "model", "init", "--arch", "resnet50-nodown", "--out", stage.model], capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(done.stderr.strip())


def engine(stage: Stage, report: Report) -> None:
    """ImagiNet's network, then the one that is shipped."""
    best = compare(stage, report, stage.model, "engine", "engine")
    stage.best_peer.write_text(best)
    compare(stage, report, stage.small, "engine_small", "models/small")


def compare(stage: Stage, report: Report, model: pathlib.Path, key: str, title: str) -> str:
    """Our engine beside each of PyTorch's ways, with one network; gives the fastest of these."""
    _, crops = stage.uploads()
    peers = stage.ways(report)
    report.absent |= {f"{key}_vs_{how}": f"{title} vs {PEERS[how][0]}: this processor has no bf16" for how in PEERS if how not in peers}
    is_large = model == stage.model
    with contextlib.ExitStack() as running:
        contestants, settings, counts = {}, {}, {}
        for how in ["ours", *peers, *(["machine"] if is_large else [])]:
            if how == "ours":
                one = stage.engine(crops, model)
            elif how == "machine":
                one = Contestant("the machine's bound", [stage.bench, "machine"], stage.logs / "machine.log")
            else:
                one = stage.torch(how, crops, model)
            contestants[how] = running.enter_context(one).wait_until_warm()
            if how != "machine":
                # Each at the batch size that suits it best; one image at a time unless more are clearly faster.
                tried = {batch: one.round(str(batch), batch) for batch in ([8] if how == "ours" else [1, 4])}
                settings[how] = max(tried, key=lambda batch: tried[batch] * (1.05 if batch == 1 else 1))
                counts[how] = stage.share(tried[settings[how]], settings[how])
                stage.say(f"{one.name} is warm: " + ", ".join(f"{rate:.2f}/s at batch {batch}" for batch, rate in tried.items()))
            else:
                stage.say(f"{one.name}: {one.what}")
        agree(contestants, peers, report, key)
        bound = contestants.get("machine")
        repeats = {unit: stage.share(bound.round(unit, 1)) for unit in bound.warm["units"]} if bound else {}
        rates = {how: [] for how in [*settings, *repeats]}
        for number in range(stage.rounds):
            for how, batch in settings.items():
                rates[how].append(contestants[how].round(str(batch), counts[how]))
            for unit, times in repeats.items():
                rates[unit].append(bound.round(unit, max(1, times // 3)) * bound.warm["units"][unit] / 1e9)
            stage.say(f"{title}, round {number + 1} of {stage.rounds}: " + ", ".join(f"{how} {values[-1]:.2f}" for how, values in rates.items()))
        if is_large:
            for how, one in contestants.items():
                report.resident["engine" if how == "ours" else how] = one.peak_resident_mb()
            report.resident.pop("machine")
        ours = contestants["ours"].what
    best = max(peers, key=lambda how: Spread(rates[how]).median)
    shown = f"{Spread(rates['ours']).median:.2f} img/s"
    report.rows.append(Row(f"{key}_vs_best_peer", f"{title} vs the best of PyTorch: {PEERS[best][0]}", ratio(rates["ours"], rates[best]), BEST_TARGET,
                           shown, f"{Spread(rates[best]).median:.2f} img/s"))
    for how in peers:
        kept = "" if how == "eager_fp32" else ", malloc keeps memory"
        what = f"{title} vs {PEERS[how][0]} (batch {settings[how]}, {os.cpu_count()} threads{kept})"
        report.rows.append(Row(f"{key}_vs_{how}", what, ratio(rates["ours"], rates[how]), None, shown, f"{Spread(rates[how]).median:.2f} img/s"))
    kind = "bf16" if "bf16" in ours else "fp32"
    report.words |= {f"{key}_best_peer": PEERS[best][0], f"{key}_precision": kind}
    if is_large:
        multiplied = [rate * 2 * MACS / 1e9 for rate in rates["ours"]]
        # The machine's best, whatever the engine uses.
        units = [unit for unit in ("fp32", "bf16") if unit in rates]
        gemm = max(units, key=lambda unit: Spread(rates[unit]).median)
        report.rows.append(Row("engine_fraction_of_gemm", f"engine's arithmetic ({kind}) vs the machine's best GEMM, {gemm}", ratio(multiplied, rates[gemm]), 1.2,
                               f"{Spread(multiplied).median:.0f} GFLOP/s", f"{Spread(rates[gemm]).median:.0f} GFLOP/s"))
        speeds = ", ".join(f"{unit} {Spread(rates[unit]).median:.0f}" for unit in units)
        report.notes.append(f"engine: {ours}; GEMM {speeds} GFLOP/s, memory {Spread(rates['triad']).median:.1f} GB/s")
    else:
        report.notes.append(f"{title}: {ours}")
    report.raw[key] = {"rates": rates, "settings": settings, "contestants": {how: one.what for how, one in contestants.items()}}
    return best


def agree(contestants: dict[str, Contestant], peers: list[str], report: Report, key: str) -> None:
    """The peers run the same network on the same weights, or the comparison means nothing."""
    ours = contestants["ours"].warm["logits"]
    for how in peers:
        apart = max(abs(one - other) for one, other in zip(ours, contestants[how].warm["logits"]))
        report.raw.setdefault("logits_apart", {})[f"{key} {how}"] = apart
        # bf16 has two digits: what is trained moves further than random weights.
        if not apart < (1.0 if how.endswith("bf16") or "bf16" in contestants["ours"].what else 0.01):
            raise Trouble(f"PyTorch {how} gives other logits than our engine: {apart} apart")


def decode(stage: Stage, report: Report) -> None:
    files = pictures.for_decoders(stage.folder / "pictures")
    commands = {
        "ours": [stage.bench, "decode", "--by", "assay"],
        "apart": [stage.bench, "decode", "--by", "apart"],
        "pillow": [sys.executable, HERE / "peer_pillow.py"],
        "zune": [stage.bench, "decode", "--by", "zune"],
    }
    rates = {(how, size): [] for how in commands for size in files}
    with contextlib.ExitStack() as running:
        contestants = {how: running.enter_context(Contestant(how, command, stage.logs / f"decode-{how}.log")).wait_until_warm()
                       for how, command in commands.items()}
        counts = {}
        for how, size in rates:
            contestants[how].round(str(files[size]), 1)
            counts[how, size] = max(1, stage.share(contestants[how].round(str(files[size]), 2, CPU)) // 4)
        for number in range(stage.rounds):
            for size in files:
                for how in commands:
                    rates[how, size].append(contestants[how].round(str(files[size]), counts[how, size], CPU))
            stage.say(f"decode, round {number + 1} of {stage.rounds}: "
                      + ", ".join(f"{size} {rates['ours', size][-1]:.0f} to {rates['pillow', size][-1]:.0f}/s" for size in files))
        for how, one in contestants.items():
            report.resident[f"decode_{how}"] = one.peak_resident_mb()
        what = {how: one.what for how, one in contestants.items()}
    for peer, title, key in [("pillow", "Pillow", "decode_vs_pillow"), ("zune", "crate `image`", "decode_vs_image_crate")]:
        for size, target in DECODING_TARGETS.items():
            report.rows.append(Row(f"{key}.{size}", f"decode {size} JPEG to the centre vs {title}", ratio(rates["ours", size], rates[peer, size]),
                                   None, f"{Spread(rates['ours', size]).median:.0f} img/s·core",
                                   f"{Spread(rates[peer, size]).median:.0f} img/s·core"))
    for size, target in DECODING_TARGETS.items():
        report.rows.append(Row(f"decode_apart_vs_pillow.{size}", f"decode {size} JPEG in a process of its own vs Pillow", ratio(rates["apart", size], rates["pillow", size]),
                               target, f"{Spread(rates['apart', size]).median:.0f} img/s·core", f"{Spread(rates['pillow', size]).median:.0f} img/s·core"))
    for size in files:
        report.rows.append(Row(f"decode_apart.{size}", f"decode {size} JPEG in a process of its own vs in this one", ratio(rates["apart", size], rates["ours", size]),
                               None, f"{Spread(rates['apart', size]).median:.0f} img/s·core", f"{Spread(rates['ours', size]).median:.0f} img/s·core"))
    sizes = {size: path.stat().st_size for size, path in files.items()}
    report.raw["decode"] = {"rates": {f"{how} {size}": values for (how, size), values in rates.items()}, "what": what, "bytes": sizes}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--base-port", type=int, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--assay", type=pathlib.Path, required=True)
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--libraries", required=True, help="LD_LIBRARY_PATH that PyTorch in Python needs")
    args = parser.parse_args()
    # Whoever ends us gets the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sections = {"engine": engine, "decode": decode, **whole.SECTIONS, **campaign.SECTIONS, **training.SECTIONS}
    chosen = args.only.split(",")
    stage = Stage(args)
    report = Report(reports.machine())
    try:
        prepare_model(stage)
        for name in SECTIONS:
            if name in chosen:
                stage.say(f"{name} …")
                sections[name](stage, report)
            else:
                report.missing.append(name)
        report.missing.append("the same on a GPU")
        report.write(args.out)
        print(f"\n{report.table()}\n\nall figures: {os.path.relpath(args.out)}")
        return 0
    except (Trouble, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: stopped, and with it all that it had started", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
