#!/usr/bin/env python3
"""The console of the demo: started, and left running, as the servers are; `make down` stops it."""

import getpass
import json
import os
import pathlib
import signal
import socket
import sys
import time

import stage  # It finds what lies under deploy/local.
import assay
from stage import BINARY, HERE, Trouble

SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 20.0
# The one of the default configuration, where it is free.
USUAL = "127.0.0.1:9466"
STATE = HERE / "console.json"
LOG = HERE / "console.log"


def leave_running(environment: dict[str, str]) -> str:
    """Its address."""
    stop()
    user = getpass.getuser()
    console = assay.Console(BINARY, user, environment | {"ASSAY__LOG__FORMAT": "human"}, LOG, USUAL if is_free(USUAL) else "")
    STATE.write_text(json.dumps({"pid": console.pid, "url": console.url}))
    console.wait_until_ready(SECONDS_TO_START)
    return console.url


def is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as asked:
        return asked.connect_ex((host, int(port))) != 0


def stop() -> None:
    """Ends the one that was left running, if it still does."""
    try:
        pid = json.loads(STATE.read_text())["pid"]
    except (OSError, ValueError, KeyError):
        return
    STATE.unlink(missing_ok=True)
    if not is_console(pid):
        return
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + SECONDS_TO_STOP
    while is_console(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def is_console(pid: int) -> bool:
    """Numbers of processes are used again: it must be our binary, as a console, and not a child that has ended."""
    folder = pathlib.Path("/proc") / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and len(words) > 1 and words[0] == os.fsencode(BINARY) and words[1] == b"console"


def main() -> int:
    if sys.argv[1:] == ["stop"]:
        stop()
        return 0
    print(leave_running(stage.settings()))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"console: {trouble}")
