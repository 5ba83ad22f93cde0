"""Whoever is measured is a process of its own that stays warm: it says when it is ready, then waits for rounds.

The protocol: one JSON line when warm; then, for each line `VARIANT COUNT` on its stdin, one JSON line with the
seconds that the round took, by the clock and of processor time. While one contestant works the others wait for their input, so rounds can take turns.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "deploy" / "local"))

from process import Trouble, memory  # noqa: E402

# glibc gives the memory of large tensors back after each layer; bf16 is so fast that fetching it again counts. Eager fp32
# runs as the reference's evaluation runs it.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


class Contestant:
    """Runs while a `with` lasts."""

    def __init__(self, name: str, command: list, log: pathlib.Path, environment: dict[str, str] | None = None):
        self.name = name
        self.log = log
        with open(log, "wb") as errors:
            # In a session of its own, so that Ctrl-C reaches it only through us.
            self.process = subprocess.Popen(
                [str(part) for part in command], env=os.environ | (environment or {}), text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.warm: dict | None = None

    def wait_until_warm(self) -> "Contestant":
        self.warm = self._answer()
        return self

    @property
    def what(self) -> str:
        return self.warm["what"]

    def round(self, variant: str, count: int, clock: str = "seconds") -> float:
        """How many a second, or with the clock "processor_seconds" how many a second of processor time."""
        self.process.stdin.write(f"{variant} {count}\n")
        self.process.stdin.flush()
        return count / self._answer()[clock]

    def peak_resident_mb(self) -> float:
        """The most memory that it has held."""
        return memory(self.process.pid, "VmHWM") / 1e6

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            words = self.log.read_text(errors="replace").strip().splitlines()[-6:]
            raise Trouble("\n".join([f"{self.name} ended with exit code {code}; the end of {self.log} says:",
                                     *(f"    {word}" for word in words)]))
        return json.loads(line)

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def serve(what: dict, round) -> None:
    """The contestant's own side, for those in Python: `round(variant, count)` is what is timed."""
    import time

    print(json.dumps(what), flush=True)
    for line in sys.stdin:
        variant, count = line.rsplit(" ", 1)
        began, used = time.perf_counter(), time.process_time()
        round(variant, int(count))
        seconds, processor = time.perf_counter() - began, time.process_time() - used
        print(json.dumps({"seconds": seconds, "processor_seconds": processor}), flush=True)
