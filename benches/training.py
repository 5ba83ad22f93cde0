"""The training step beside PyTorch's, and what gradient caching costs and saves."""

import contextlib
import subprocess
import sys

from contestants import HERE, KEPT_MEMORY, Contestant, Trouble
from report import Report, Row, Spread, ratio

# Of ImagiNet's kind, cut in width; 96×96 crops, as its recipe has them: architecture → end of the keys, images of a step. PyTorch
# takes minutes for a step of anything larger on two busy cores.
ARCHITECTURES = {"resnet18-nodown-32": ("", 32), "resnet50-nodown-16": ("_resnet50", 16)}
# Gradient caching: in chunks beside one pass, where that fits; and a batch that would not beside one of the chunk's size.
CACHED, CHUNK, FITS, LARGE = "resnet18-nodown-16", 64, 128, 512
# `assay train` sets it for itself. Everybody gets it: the step is compared, not how threads wait on a busy machine.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}


def ours(stage, architecture: str, batch: int, chunk: int = 0, precision: str = "auto") -> Contestant:
    name = f"training-{architecture}-{batch}-{chunk}-{precision}"
    command = [stage.bench, "training", "--model", model(stage, architecture), "--crops", stage.uploads()[1],
               "--batch", batch, "--chunk", chunk, "--precision", precision]
    return Contestant(name, command, stage.logs / f"{name}.log", WAITING)


def peer(stage, how: str, architecture: str, batch: int, memory: dict[str, str]) -> Contestant:
    command = [sys.executable, HERE / "peer_training.py", how, "--weights", model(stage, architecture) / "weights.safetensors",
               "--arch", architecture, "--crops", stage.uploads()[1], "--batch", batch]
    return Contestant(f"PyTorch {how}, {architecture}", command, stage.logs / f"training-{architecture}-{how}.log", stage.libraries | WAITING | memory)


def model(stage, architecture: str):
    folder = stage.folder / architecture
    if not (folder / "manifest.json").exists():
        command = [stage.assay, "model", "init", "--arch", architecture, "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(done.stderr.strip())
    return folder


def turns(stage, contestants: dict[str, Contestant], batch: int, steps: int = 1) -> dict[str, list[float]]:
    """Images a second of each."""
    rates = {how: [] for how in contestants}
    # A step is long, and is its own average.
    rounds = stage.args.rounds or (2 if stage.quick else 3)
    for number in range(rounds):
        for how, one in contestants.items():
            rates[how].append(batch * one.round("step", steps))
        stage.say(f"training, round {number + 1} of {rounds}: " + ", ".join(f"{how} {values[-1]:.2f}/s" for how, values in rates.items()))
    return rates


def agree(losses: dict[str, list[float]], report: Report, architecture: str) -> None:
    """All begin with the same weights and see the same images, or the comparison means nothing: the second loss also depends on
    the gradients of the first step."""
    report.raw.setdefault("training_losses", {})[architecture] = losses
    for how, values in losses.items():
        apart = max(abs(one / other - 1) for one, other in zip(values, losses["peer"]))
        if not apart < (0.002 if how == "fp32" else 0.05):
            raise Trouble(f"{how} makes other losses of {architecture} than PyTorch in fp32: {values} and {losses['peer']}")


def beside_pytorch(stage, report: Report, architecture: str, suffix: str, batch: int) -> None:
    with contextlib.ExitStack() as running:
        contestants = {"peer": peer(stage, "eager_fp32", architecture, batch, {}), "fp32": ours(stage, architecture, batch, precision="fp32")}
        if report.machine["features"]["avx512_bf16"]:
            contestants["bf16"] = ours(stage, architecture, batch, precision="bf16")
            if not suffix:
                contestants["peer_bf16"] = peer(stage, "autocast_bf16", architecture, batch, KEPT_MEMORY)
        for one in contestants.values():
            running.enter_context(one).wait_until_warm()
        agree({how: one.warm["losses"] for how, one in contestants.items()}, report, architecture)
        rates = turns(stage, contestants, batch)
        for how, one in contestants.items():
            report.resident[f"training_{architecture}_{how}"] = one.peak_resident_mb()
        what = {how: one.what for how, one in contestants.items()}
    shown = {how: f"{Spread(values).median:.1f} img/s" for how, values in rates.items()}
    pairs = [("training_vs_pytorch_fp32", "fp32", "peer", "in fp32 vs PyTorch eager fp32", 1.5),
             ("training_bf16_vs_pytorch_fp32", "bf16", "peer", "in bf16 vs PyTorch eager fp32", 1.5),
             ("training_bf16_vs_pytorch_bf16", "bf16", "peer_bf16", "in bf16 vs PyTorch autocast bf16, channels_last", None)]
    for key, one, other, title, target in pairs:
        if one in rates and other in rates:
            report.rows.append(Row(key + suffix, f"training step {title} ({architecture}, batch {batch})", ratio(rates[one], rates[other]), target, shown[one], shown[other]))
    report.raw.setdefault("training", {})[architecture] = {"rates": rates, "what": what, "batch": batch}


def caching(stage, report: Report) -> None:
    with contextlib.ExitStack() as running:
        contestants = {"chunks": ours(stage, CACHED, FITS, CHUNK), "whole": ours(stage, CACHED, FITS)}
        for one in contestants.values():
            running.enter_context(one).wait_until_warm()
        rates = turns(stage, contestants, FITS, 2)
        precision = contestants["chunks"].what
    report.rows.append(Row("gradient_caching_time_ratio", f"time of a step in chunks of {CHUNK} vs in one pass ({CACHED}, batch {FITS})",
                           ratio(rates["whole"], rates["chunks"]), 1.4, *(f"{Spread(rates[how]).median:.1f} img/s" for how in ("chunks", "whole")), most=True))
    peaks = {}
    for name, batch, chunk in [("chunks", LARGE, CHUNK), ("small", CHUNK, 0)]:
        with ours(stage, CACHED, batch, chunk) as one:
            peaks[name] = one.wait_until_warm().peak_resident_mb()
        stage.say(f"training, batch {batch} in chunks of {chunk or batch}: {peaks[name]:.0f} MB at most")
    report.rows.append(Row("gradient_caching_peak_ratio", f"memory of a process at batch {LARGE} in chunks of {CHUNK} vs at batch {CHUNK} ({CACHED})",
                           Spread([peaks["chunks"] / peaks["small"]]), 1.3, *(f"{peaks[name]:.0f} MB" for name in ("chunks", "small")), most=True))
    report.raw["gradient_caching"] = {"rates": rates, "peaks_mb": peaks, "what": precision}


def training(stage, report: Report) -> None:
    for architecture, (suffix, batch) in list(ARCHITECTURES.items())[:1 if stage.quick else None]:
        beside_pytorch(stage, report, architecture, suffix, batch)
    caching(stage, report)


SECTIONS = {"training": training}
