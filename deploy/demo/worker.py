"""The worker as a process of the demo: started, waited for, stopped in order."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from stage import BINARY, Trouble, say

SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 60.0


class Worker:
    """Runs while a `with` lasts, however that ends."""

    def __init__(self, environment: dict[str, str], log: pathlib.Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.admin = f"127.0.0.1:{free.getsockname()[1]}"
        self.log = log
        settings = {"ASSAY__ADMIN__LISTEN": self.admin, "ASSAY__LOG__FORMAT": "human"}
        # Small batches, so that the table moves; on a CPU they cost nothing.
        settings |= {"ASSAY__WORKER__BATCH_SIZE": os.environ.get("ASSAY__WORKER__BATCH_SIZE", "2")}
        with open(log, "wb") as output:
            # In a session of its own, so that Ctrl-C reaches it only through us.
            self.process = subprocess.Popen([BINARY, "worker"], env=os.environ | environment | settings, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, start_new_session=True)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            self.check()
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise Trouble(f"the worker isn't ready after {SECONDS_TO_START:.0f} s; see {self.log}\n{self.last_words()}")

    def check(self) -> None:
        if self.process.poll() is not None:
            raise Trouble(f"the worker ended with exit code {self.process.returncode}; the end of {self.log} says:\n{self.last_words()}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind, *_) -> None:
        """SIGTERM, so it finishes what it holds. Whoever has no patience for that presses Ctrl-C again."""
        if kind is KeyboardInterrupt:
            say("\nthe worker finishes what it holds; Ctrl-C again ends it at once")
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS_TO_STOP)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        return "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-10:])
