"""What the parts of the demo share: where things are, steps with their times, private Python packages, colours."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCAL = pathlib.Path(os.environ.get("ASSAY_LOCAL_DIR", ROOT / ".local"))
HERE = LOCAL / "demo"
BINARY = ROOT / "target" / "release" / "assay"
BUCKET = "uploads"

# The S3, AMQP and PostgreSQL clients of the demo, in a folder of its own.
PACKAGES = ["boto3==1.44.5", "pika==1.4.4", "psycopg[binary]==3.3.9"]

COLOURS = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}


class Trouble(Exception):
    """What went wrong and how to mend it, for the person at the terminal."""


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


def run(command: list, title: str, **options) -> str:
    """What a command prints; Trouble with its last words if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise Trouble("\n".join([f"{title} failed (exit code {done.returncode}):", *(f"    {line}" for line in words)]))
    return done.stdout


def pip(*arguments) -> None:
    common = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    verb, *rest = arguments
    run([sys.executable, "-m", "pip", verb, *common, *rest], f"pip {verb} {rest[-1]}")


def private_packages() -> None:
    """Installs the clients the first time, and lets this program import them."""
    folder = HERE / f"python{sys.version_info.major}.{sys.version_info.minor}"
    complete = folder / "complete"
    wanted = "\n".join(PACKAGES)
    if not (complete.exists() and complete.read_text() == wanted):
        pip("install", "--upgrade", "--root-user-action=ignore", "--target", folder, *PACKAGES)
        complete.write_text(wanted)
    sys.path.insert(0, str(folder))


def settings() -> dict[str, str]:
    """The servers' addresses and keys, as `make up` wrote them."""
    path = LOCAL / "env"
    if not path.exists():
        raise Trouble(f"{path} isn't there; start the servers first: make up")
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        found[name] = value.strip("'")
    return found


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
