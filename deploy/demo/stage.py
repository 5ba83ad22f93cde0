"""What the parts of the demo share: where things are, steps with their times, private Python packages, colours."""

import contextlib
import fcntl
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "deploy" / "local"))

import clients  # noqa: E402
from clients import PACKAGES, bucket_client, pip, run  # noqa: E402, F401
from process import Trouble  # noqa: E402

LOCAL = pathlib.Path(os.environ.get("ASSAY_LOCAL_DIR", ROOT / ".local"))
HERE = LOCAL / "demo"
BINARY = ROOT / "target" / "release" / "assay"
BUCKET = "uploads"

COLOURS = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}


def terminal() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colour and terminal() else text


def say(text: str = "") -> None:
    print(text, flush=True)


class Step:
    """One line for one thing done: what it is, what came of it, how long it took."""

    def __init__(self, title: str):
        self.title = title
        self.result = ""

    def __enter__(self) -> "Step":
        self.began = time.monotonic()
        if terminal():
            print(coloured(f"  … {self.title}", "dim"), end="\r", flush=True)
        return self

    def __exit__(self, kind, *_) -> None:
        took = f"{time.monotonic() - self.began:6.1f} s"
        mark = coloured("✔", "green") if kind is None else coloured("✘", "red")
        clear = "\x1b[2K" if terminal() else ""
        say(f"{clear}  {mark} {self.title:<24} {coloured(took, 'dim')}   {self.result}".rstrip())


def private_packages() -> None:
    """Installs the clients the first time, and lets this program import them."""
    sys.path.insert(0, str(clients.install(HERE)))


def settings() -> dict[str, str]:
    """The servers' addresses and keys."""
    path = LOCAL / "env"
    if not path.exists():
        raise Trouble(f"{path} isn't there; start the servers first: make up")
    return clients.settings(path)


@contextlib.contextmanager
def only_one():
    """Two demos at once would take the dead letters out of each other's hands."""
    HERE.mkdir(parents=True, exist_ok=True)
    with open(HERE / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble("another demo is running here") from None
        yield
