#!/usr/bin/env python3
"""Ours beside others, measured on the spot: engine, decoding, the whole path, judging again, training. Table here, figures in target/bench/report.json.

Needs `make toolchain`. The first time it installs Pillow, NumPy and clients for the servers into Pythons of its own
under .local, and lets PyTorch compile the network, which takes a minute or two; after that a run takes about thirteen
minutes on two cores. Whatever else the machine does meanwhile is in the figures.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / ".local" / "bench"
# torch.compile builds C++ with its help.
SETUPTOOLS = "setuptools==81.0.0"
SECTIONS = "engine,decode,worker,pipeline,campaign,start,training"

sys.path[:0] = [str(ROOT / "tests" / "conformance"), str(ROOT / "deploy" / "local")]
import clients  # noqa: E402
import prepare  # noqa: E402
from process import Trouble  # noqa: E402


def build() -> dict[str, str]:
    """The programs of ours, name → path."""
    command = [*shlex.split(os.environ.get("CARGO", "cargo")), "build", "--release", "--locked", "--bin", "assay", "--bin", "assay-decoder", "--bench", "bench",
               "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("bench: the build failed; see above")
    messages = map(json.loads, done.stdout.splitlines())
    return {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=SECTIONS, metavar="SECTION,…", help=f"of {SECTIONS}")
    parser.add_argument("--quick", action="store_true", help="two short rounds: to see that all of it works, not to measure")
    parser.add_argument("--rounds", type=int, default=0, help="how often everybody takes a turn (default 5)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "bench" / "report.json")
    parser.add_argument("--base-port", type=int, default=22100, help="the first of 20 ports for servers of its own (default %(default)s)")
    args = parser.parse_args()
    unknown = set(args.only.split(",")) - set(SECTIONS.split(","))
    if unknown:
        parser.error(f"no section: {', '.join(sorted(unknown))}")
    tools = prepare.Tools()
    try:
        tools.install()
        installed = clients.install(FOLDER, [*clients.PACKAGES, SETUPTOOLS])
    except Trouble as error:
        sys.exit(f"bench: {error}")
    programs = build()
    offered = tools.environment()
    # Only PyTorch in Python wants these libraries, and what else the conformance test sets is not for a comparison.
    libraries = offered.get("LD_LIBRARY_PATH", "")
    folders = [folder for folder in (offered.get("PYTHONPATH"), str(installed)) if folder]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(tools.python), str(HERE / "measure.py"), "--only", args.only, "--out", str(args.out.resolve()), "--rounds", str(args.rounds),
               "--base-port", str(args.base_port),
               "--assay", programs["assay"], "--bench", programs["bench"], "--libraries", libraries, *(["--quick"] if args.quick else [])]
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
