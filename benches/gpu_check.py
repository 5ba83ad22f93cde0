#!/usr/bin/env python3
"""Everything of ours that a GPU changes, on a machine with an NVIDIA card: are the answers right, how fast is it, how does it fail?

Needs `make build`, and a Python with the CUDA build of PyTorch 2.11 and NumPy (--python); its libtorch is the one that our programs open. Each
step stands for itself: where one fails it says so, the others go on, and the exit code is 1. Figures: target/bench/gpu.json.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path += [str(ROOT / "deploy" / "local"), str(ROOT / "tests" / "conformance")]

from contestants import KEPT_MEMORY, Contestant, Trouble  # noqa: E402
from report import Spread, aligned, ratio  # noqa: E402

MACS = 83_565_216_768  # of one image in resnet50-nodown
EXAMPLES = """\
examples:
  make gpu-check                                        with the python3 of the PATH
  make gpu-check GPU="--python /opt/torch/bin/python"   with another one
  make gpu-check GPU="--device cpu --quick"             a rehearsal without a card: that all of it runs
"""
# Ours and PyTorch's, on a card and in a rehearsal.
PRECISIONS = {"cuda": ["fp32", "bf16"], "cpu": ["fp32"]}
WAYS = {"cuda": ["eager_fp32", "channels_last_fp32", "autocast_bf16", "autocast_fp16", "compiled_bf16", "compiled_fp16"], "cpu": ["eager_fp32"]}
BATCHES = {"cuda": [1, 2, 4, 8, 16, 32, 64, 128], "cpu": [1, 4]}
# How far logits may be from fp32 on the processor.
APART = {"fp32": 0.02, "bf16": 0.5}


class Check:
    """What the steps share, and what they found."""

    def __init__(self, args: argparse.Namespace):
        self.device, self.python, self.quick = args.device, args.python or sys.executable, args.quick
        self.kind = "cuda" if args.device.startswith("cuda") else "cpu"
        self.assay, self.bench = args.assay.resolve(), args.bench.resolve()
        self.folder = ROOT / ".local" / "gpu-check"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model, self.crops = self.folder / "model", self.folder / "crops.rgb"
        self.seconds, self.rounds = (0.5, 2) if args.quick else (3.0, 5)
        # An error is one line here.
        self.environment: dict[str, str] = {"RUST_BACKTRACE": "0"}
        if self.kind == "cpu" and not args.python:
            # The Python of the conformance tests will do for a rehearsal.
            import prepare

            tools = prepare.Tools()
            tools.install()
            self.python, borrowed = tools.python, tools.environment()
            self.environment |= {name: borrowed[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in borrowed}
        self.limits: dict = {}
        self.found: dict = {}
        self.tables: list[list[list[str]]] = []
        self.failed: list[str] = []

    def engine(self, model: pathlib.Path, precision: str, device: str = "", logits: int = 2) -> Contestant:
        command = [self.bench, "engine", "--model", model, "--crops", self.crops, "--precision", precision, "--device", device or self.device, "--logits", logits]
        return Contestant(f"our engine, {precision}", command, self.folder / f"engine-{precision}.log", self.environment)

    def peer(self, how: str, model: pathlib.Path, batches: list[int]) -> Contestant:
        command = [self.python, HERE / "peer_torch.py", how, "--weights", model / "weights.safetensors", "--crops", self.crops,
                   "--batches", ",".join(map(str, batches)), "--device", self.device]
        memory = KEPT_MEMORY if self.kind == "cpu" else {}
        return Contestant(f"PyTorch {how}", command, self.folder / f"{how}.log", self.environment | memory)

    def run(self, command: list, seconds: float = 300, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(part) for part in command], env=os.environ | self.environment | more, capture_output=True, text=True, timeout=seconds)

    def say(self, text: str) -> None:
        print(f"gpu-check  {text}", flush=True)


def preparing(check: Check) -> None:
    """The Python, its libtorch, the network with random weights, and images to score."""
    asked = "import json, os, sys; sys.setdlopenflags(os.RTLD_LAZY); import numpy, torch; print(json.dumps([torch.__version__, torch.cuda.is_available(), os.path.dirname(torch.__file__)]))"
    done = check.run([check.python, "-c", asked])
    if done.returncode != 0:
        raise Trouble(f"{check.python} has no PyTorch with NumPy: give one that has by --python\n{done.stderr.strip()[-400:]}")
    version, is_there, folder = json.loads(done.stdout)
    if check.kind == "cuda":
        if not version.startswith("2.11."):
            raise Trouble(f"{check.python} has PyTorch {version}; our programs are built for libtorch 2.11: install torch==2.11.0 with CUDA")
        if not is_there:
            raise Trouble("PyTorch finds no CUDA device: look at `nvidia-smi`, or try the rehearsal, --device cpu --quick")
        check.environment["LD_LIBRARY_PATH"] = os.pathsep.join([str(pathlib.Path(folder) / "lib"), os.environ.get("LD_LIBRARY_PATH", "")])
    if not (check.model / "manifest.json").exists():
        done = check.run([check.assay, "model", "init", "--arch", "resnet50-nodown", "--out", check.model])
        if done.returncode != 0:
            raise Trouble(done.stderr.strip())
    import random

    # Smooth and rough ones, so that no logit is that of grey.
    draw = random.Random(7)
    with open(check.crops, "wb") as crops:
        for _ in range(16 if check.quick else 160):
            step, noise = draw.choice([1, 2, 4, 16]), draw.choice([0, 8, 64])
            row = bytes((x // step * 7 + draw.randrange(noise + 1)) % 256 for x in range(256 * 3))
            crops.write(b"".join(bytes((value + y // step) % 256 for value in row) for y in range(256)))
    check.limits = limits(check)
    check.say(f"{check.limits['name']}, PyTorch {version}: " + ", ".join(f"{kind} {rate:.1f} TFLOP/s" for kind, rate in check.limits["tflops"].items())
              + f", {check.limits['gb_s']:.0f} GB/s")


def limits(check: Check) -> dict:
    done = check.run([check.python, HERE / "gpu_limits.py", check.device])
    if done.returncode != 0:
        raise Trouble(f"gpu_limits.py: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout)


def doctor(check: Check) -> None:
    """What `assay doctor` says of the device."""
    done = check.run([check.assay, "doctor", "--json"], ASSAY__DETECTOR__DEVICE=check.device, ASSAY__DETECTOR__MODEL=str(ROOT / "models" / "small"))
    findings = {one["subject"]: one for one in json.loads(done.stdout)["checks"]}
    found = findings.get("detector") or findings.get("model") or {}
    if not found.get("ok"):
        raise Trouble(f"assay doctor refuses the device: {found}")
    check.say(f"doctor: {found['detail']}")


def answers(check: Check) -> None:
    """Logits of both networks on the device beside those of fp32 on the processor."""
    count = 16 if check.quick else 160
    rows = [["network", "precision", "images", "largest shift", "mean shift"]]
    for name, model in [("resnet50-nodown", check.model), ("models/small", ROOT / "models" / "small")]:
        if check.quick and name == "resnet50-nodown":
            continue
        with check.engine(model, "fp32", "cpu", count) as cpu:
            exact = cpu.wait_until_warm().warm["logits"]
        for precision in PRECISIONS[check.kind]:
            with check.engine(model, precision, logits=count) as ours:
                shifts = [one - other for one, other in zip(ours.wait_until_warm().warm["logits"], exact)]
            largest, mean = max(map(abs, shifts)), sum(shifts) / len(shifts)
            rows.append([name, precision, str(len(shifts)), f"{largest:.4f}", f"{mean:+.4f}"])
            check.found[f"shift.{name}.{precision}"] = {"largest": largest, "mean": mean}
            if not largest < APART[precision]:
                check.failed.append(f"answers: {name} in {precision} is {largest:.3f} from fp32 on the processor, more than {APART[precision]}")
    check.tables.append(rows)


def speed(check: Check) -> None:
    """Images a second at each batch size, ours and PyTorch's in turns."""
    batches = BATCHES[check.kind]
    with contextlib.ExitStack() as running:
        ours = {kind: running.enter_context(check.engine(check.model, kind)).wait_until_warm() for kind in PRECISIONS[check.kind]}
        peers = {}
        for how in WAYS[check.kind]:
            try:
                peers[how] = running.enter_context(check.peer(how, check.model, batches)).wait_until_warm()
            except Trouble as trouble:
                check.failed.append(f"speed: {trouble}")
        all_of_them = {**{f"ours {kind}": one for kind, one in ours.items()}, **peers}
        rates = {who: {} for who in all_of_them}
        for batch in batches:
            # One round to find out how long a round is.
            counts = {who: batch * max(1, round(one.round(str(batch), batch) * check.seconds / batch)) for who, one in all_of_them.items()}
            for _ in range(check.rounds):
                for who, one in all_of_them.items():
                    rates[who].setdefault(batch, []).append(one.round(str(batch), counts[who]))
            check.say(f"batch {batch}: " + ", ".join(f"{who} {Spread(of[batch]).median:.1f}" for who, of in rates.items()))
    median = {who: {batch: Spread(values).median for batch, values in of.items()} for who, of in rates.items()}
    check.tables.append([["images a second at batch", *map(str, batches)], *([who, *(f"{of[batch]:.1f}" for batch in batches)] for who, of in median.items())])
    best = {who: max(of, key=of.get) for who, of in median.items()}
    mine = max((who for who in best if who.startswith("ours")), key=lambda who: median[who][best[who]])
    theirs = max((who for who in best if not who.startswith("ours")), key=lambda who: median[who][best[who]])
    against = ratio(rates[mine][best[mine]], rates[theirs][best[theirs]])
    arithmetic = median[mine][best[mine]] * 2 * MACS / 1e12
    gemm = max(check.limits["tflops"].values())
    check.tables.append([["on this device", "ours", "peer", "ratio (of rounds)", "target"],
                         [f"engine ({mine}, batch {best[mine]}) vs the best of PyTorch ({theirs}, batch {best[theirs]})", f"{median[mine][best[mine]]:.1f}/s",
                          f"{median[theirs][best[theirs]]:.1f}/s", f"{against.median:.2f} ({min(against.values):.2f}–{max(against.values):.2f})", "1.2"],
                         ["engine's arithmetic vs the device's best GEMM", f"{arithmetic:.2f} TFLOP/s", f"{gemm:.2f} TFLOP/s", f"{arithmetic / gemm:.2f}", "0.8"]])
    check.found |= {"rates": median, "engine_vs_best_peer": against.median, "engine_best_peer": theirs, "engine_fraction_of_gemm": arithmetic / gemm}


def training(check: Check) -> None:
    """A step of training by our own code, where `auto` takes the device."""
    model = check.folder / "slim"
    if not (model / "manifest.json").exists():
        done = check.run([check.assay, "model", "init", "--arch", "resnet18-nodown-32", "--out", model])
        if done.returncode != 0:
            raise Trouble(done.stderr.strip())
    command = [check.bench, "training", "--model", model, "--crops", check.crops, "--batch", "16" if check.quick else "64"]
    with Contestant("training", command, check.folder / "training.log", check.environment) as ours:
        losses = ours.wait_until_warm().warm["losses"]
        rate = ours.round("step", 2 if check.quick else 20)
    if not all(loss == loss and abs(loss) < 1e6 for loss in losses):
        raise Trouble(f"the losses are {losses}")
    check.say(f"training: {ours.what}: {rate:.2f} steps a second, losses {', '.join(f'{loss:.3f}' for loss in losses)}")
    check.found["training_steps_per_s"] = rate


def full(check: Check) -> None:
    """A device whose memory somebody else has: a plain error and no crash."""
    if check.kind == "cpu":
        return check.say("out of memory: nothing to provoke on a processor")
    hold = ("import sys, torch; free, _ = torch.cuda.mem_get_info(); "
            "kept = torch.empty(free - (192 << 20), dtype=torch.uint8, device='cuda'); print('held', flush=True); sys.stdin.read()")
    with subprocess.Popen([str(check.python), "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | check.environment) as holder:
        if holder.stdout.readline().strip() != "held":
            raise Trouble("the memory of the device could not be taken")
        done = check.run([check.bench, "engine", "--model", check.model, "--crops", check.crops, "--device", check.device])
        holder.stdin.close()
    words = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
    if done.returncode == 0:
        return check.say("out of memory: the engine found room in what was left")
    if done.returncode < 0 or "memory" not in done.stderr.lower():
        raise Trouble(f"without memory the engine ended with {done.returncode} and said: {words[0]}")
    check.say(f"out of memory: {words[0]}")


def away(check: Check) -> None:
    """A device that is not there: named, with the mend."""
    done = check.run([check.bench, "engine", "--model", check.model, "--crops", check.crops, "--device", "cuda:63"])
    words = " ".join(done.stderr.split()).removeprefix("Error: ")
    if done.returncode == 0 or done.returncode < 0 or not ("cuda:63" in words or "libtorch_cuda" in words or "CUDA device" in words):
        raise Trouble(f"a device that is not there is not named: exit code {done.returncode}, {words[-300:]}")
    check.say(f"no such device: {words}")


STEPS = [doctor, answers, speed, training, full, away]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="has PyTorch and NumPy (default: the one that runs this; in a rehearsal that of the conformance tests)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu for a rehearsal (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="short rounds, few images: that it runs, not how fast")
    parser.add_argument("--assay", type=pathlib.Path, help="the binary, where nothing can be built (default: it is built)")
    parser.add_argument("--bench", type=pathlib.Path, help="likewise, of `cargo build --release --bench bench`")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "bench" / "gpu.json")
    args = parser.parse_args()
    if not (args.assay and args.bench):
        import run

        args.assay, args.bench = (pathlib.Path(run.build()[name]) for name in ("assay", "bench"))
    check, out, began = Check(args), args.out, time.monotonic()
    try:
        preparing(check)
    except (Trouble, OSError, subprocess.TimeoutExpired) as trouble:
        print(f"gpu-check: {trouble}", file=sys.stderr)
        return 2
    for step in STEPS:
        try:
            step(check)
        except (Trouble, OSError, ValueError, subprocess.TimeoutExpired) as trouble:
            # A device that vanishes takes the step with it, not what the others found.
            check.failed.append(f"{step.__name__}: {trouble}")
            check.say(f"{step.__name__}: failed")
    for table in check.tables:
        print("\n" + "\n".join(aligned(table)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"device": check.limits, "failed": check.failed, **check.found}, indent=1) + "\n")
    print(f"\nnot provoked: a device that is lost at work, which needs a reset. All figures: {os.path.relpath(out)}, {time.monotonic() - began:.0f} s")
    for one in check.failed:
        print(f"FAILED  {one}")
    return 1 if check.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
