"""The worker of the demo: started, waited for, stopped in order."""

import os
import pathlib

import assay
from stage import BINARY, say

SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 60.0


class Worker(assay.Worker):
    """Runs while a `with` lasts, however that ends."""

    def __init__(self, environment: dict[str, str], log: pathlib.Path):
        # Small batches, so that the table moves; on a CPU they cost nothing.
        batch = os.environ.get("ASSAY__WORKER__BATCH_SIZE", "2")
        super().__init__(BINARY, environment | {"ASSAY__LOG__FORMAT": "human", "ASSAY__WORKER__BATCH_SIZE": batch}, log)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind, *_) -> None:
        """SIGTERM, so it finishes what it holds. Whoever has no patience for that presses Ctrl-C again."""
        if kind is KeyboardInterrupt:
            say("\nthe worker finishes what it holds; Ctrl-C again ends it at once")
        try:
            self.terminate(SECONDS_TO_STOP)
        except KeyboardInterrupt:
            self.kill()
