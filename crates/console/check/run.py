#!/usr/bin/env python3
"""The console's pages in Debian's Chromium: by keyboard, without the script, by axe-core. The console behind them only pretends.

    run.py [samples] [keys] [last] [mixed] [withoutScript] [speed]     all of them unless some are named
    run.py --base URL                                                  `speed` against a real console with 200 items waiting
    run.py --shots FOLDER [light|dark] [SAMPLE…]                       screenshots instead
    run.py --review FILE                                               people at a real console, as deploy/demo/review.py has them
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import clients  # noqa: E402
import packages  # noqa: E402
from process import Trouble  # noqa: E402

# The engine of the templates, and pictures for the console that pretends.
PACKAGES = ["minijinja==3.1.0", "pillow==12.0.0"]


def main() -> int:
    packages.install(packages.missing({"chromium": "chromium"}))
    clients.npm_ci(HERE)
    installed = clients.install(ROOT / ".local" / "console", PACKAGES)
    arguments = sys.argv[1:]
    script = "check.mjs"
    for option, other in {"--shots": "shots.mjs", "--review": "review.mjs"}.items():
        if arguments[:1] == [option]:
            script, arguments = other, arguments[1:]
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(["node", HERE / script, *arguments], env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"console-check: {trouble}")
