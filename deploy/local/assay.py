"""`assay worker` and `assay console` as processes, seen from outside."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from process import Trouble


class Service:
    """Started when it is made; in a session of its own, so that Ctrl-C reaches it only through us."""

    def __init__(self, command: list, environment: dict[str, str], log: pathlib.Path, admin: str, append: bool = False):
        self.name = command[1]
        self.admin = admin
        self.log = log
        self.began = time.monotonic()
        with open(log, "ab" if append else "wb") as output:
            self.log_begins = output.tell()
            self.process = subprocess.Popen(
                command, env=os.environ | environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def check(self) -> None:
        if not self.alive():
            raise Trouble(f"the {self.name} ended with exit code {self.process.returncode}; the end of {self.log} says:\n{self.last_words()}")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer of the admin port; status 0 where none came."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_until_ready(self, seconds: float) -> float:
        """Seconds since its start."""
        while time.monotonic() - self.began < seconds:
            self.check()
            if self.ready():
                return time.monotonic() - self.began
            time.sleep(0.005)
        raise Trouble(f"the {self.name} isn't ready after {seconds:.0f} s; see {self.log}\n{self.last_words()}")

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels; empty where no answer came."""
        lines = (line.rpartition(" ") for line in self.get("/metrics")[1].splitlines() if line and line[0] != "#")
        return {name: float(value) for name, _, value in lines}

    def send(self, what: signal.Signals) -> None:
        if self.alive():
            self.process.send_signal(what)

    def kill(self) -> None:
        """It is gone when this returns."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def words(self) -> str:
        """What it has logged, without what earlier ones wrote into the same file."""
        with open(self.log, "rb") as log:
            log.seek(self.log_begins)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        return "\n".join(f"    {line}" for line in self.words().splitlines()[-10:])

    def terminate(self, seconds: float) -> int:
        """SIGTERM, so it finishes what it holds; killed when its time is over. Its exit code."""
        self.send(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


class Worker(Service):
    def __init__(self, binary: pathlib.Path, environment: dict[str, str], log: pathlib.Path, admin: str = "", append: bool = False):
        admin = admin or free_address()
        super().__init__([binary, "worker"], environment | {"ASSAY__ADMIN__LISTEN": admin}, log, admin, append)


class Console(Service):
    """On trial, for one person."""

    def __init__(self, binary: pathlib.Path, user: str, environment: dict[str, str], log: pathlib.Path, listen: str = "", append: bool = False):
        listen, admin = listen or free_address(), free_address()
        self.url = f"http://{listen}/"
        command = [binary, "console", "--user", user, "--listen", listen]
        super().__init__(command, environment | {"ASSAY__CONSOLE__ADMIN": admin}, log, admin, append)


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
