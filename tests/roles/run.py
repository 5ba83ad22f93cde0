#!/usr/bin/env python3
"""Follows the documents in three roles, as somebody new would: each command that a document says a role runs is run as it stands
there, on real servers, in a folder of its own.

  integrator     README.md: from the binary to a verdict on a picture of one's own
  operator       docs/operators.md: what to look at, and what to do
  ml-engineer    docs/training.md, docs/evaluation.md: a model of one's own, measured and promoted

What is put in a command's place is listed in the role's file: a smaller network, fewer epochs, a folder of computed images.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "deploy" / "local"), str(ROOT / "deploy" / "demo")]

import clients  # noqa: E402
import packages  # noqa: E402
import servers  # noqa: E402
from process import Trouble  # noqa: E402

import integrator  # noqa: E402
import ml_engineer  # noqa: E402
import operator_  # noqa: E402
from blocks import Block, of_role  # noqa: E402

ROLES = {"integrator": integrator, "operator": operator_, "ml-engineer": ml_engineer}
FOLDER = ROOT / ".local" / "roles"
BASE_PORT = int(os.environ.get("ASSAY_ROLES_BASE_PORT", "22860"))
DEADLINE = 600.0


class Place:
    """A folder as the documents expect it: the binary in target/release, the servers' settings in .local/env."""

    control = ROOT / "deploy" / "local" / "servers.py"
    servers = FOLDER

    def __init__(self, folder: pathlib.Path, binary: pathlib.Path, env: pathlib.Path, schema: str):
        self.folder, self.binary, self.schema = folder, binary, schema
        (folder / "target").mkdir()
        (folder / "target" / "release").symlink_to(binary.parent)
        (folder / ".local").mkdir()
        (folder / ".local" / "env").symlink_to(env)
        (folder / "models").symlink_to(ROOT / "models")
        self.settings = clients.settings(env)

    def variables(self) -> dict[str, str]:
        """The servers, and tables, queues and models of the role's own."""
        own = {"ASSAY__DATABASE__SCHEMA": self.schema, "ASSAY__BROKER__PREFIX": self.schema}
        return self.settings | own | {"ASSAY__REGISTRY__STORE": str(self.folder / "registry"), "PATH": f"{self.binary.parent}:{os.environ['PATH']}"}

    def run(self, role: str, script: str) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "AWS_"))} | self.variables()
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=variables, text=True,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            code = process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{role}: the commands did not end within {DEADLINE:.0f} s") from None
        finally:
            # A worker that a document leaves in the background.
            subprocess.run(["pkill", "--signal", "KILL", "--session", str(process.pid)], check=False)
        if code != 0:
            raise Trouble(f"{role}: the command after the last line above ended with {code}")


def script(found: list[Block], substitutions: list[tuple[str, str]]) -> str:
    """All blocks as one session, each told of before it runs."""
    lines = []
    for block in found:
        text = block.text
        for wanted, instead in substitutions:
            text = text.replace(wanted, instead)
        lines += [f'echo "-- {block.document}:{block.line}"', text]
    return "\n".join(lines)


def unused(found: list[Block], substitutions: list[tuple[str, str]]) -> list[str]:
    """What stands in no document any more."""
    return [wanted for wanted, _ in substitutions if not any(wanted in block.text for block in found)]


def follow(role: str, binary: pathlib.Path, env: pathlib.Path) -> None:
    module, began = ROLES[role], time.monotonic()
    found = of_role(role, module.DOCUMENTS)
    with tempfile.TemporaryDirectory(prefix=f"assay-{role}-") as folder:
        place = Place(pathlib.Path(folder), binary, env, f"role_{role.replace('-', '_')}")
        substitutions = module.prepare(place)
        if left := unused(found, substitutions):
            raise Trouble(f"{role}: no document has {left[0]!r} any more")
        place.run(role, script(found, substitutions))
        outcome = module.outcome(place)
    print(f"{role}: {len(found)} blocks of {', '.join(module.DOCUMENTS)} in {time.monotonic() - began:.0f} s; {outcome}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", type=pathlib.Path, default=ROOT / "target" / "release" / "assay", help="the binary, assay-decoder beside it")
    parser.add_argument("--only", choices=ROLES, help="one role")
    options = parser.parse_args()
    if not options.assay.exists():
        sys.exit(f"roles: no {options.assay}; run `make build`")
    FOLDER.mkdir(parents=True, exist_ok=True)
    local = servers.Set(FOLDER, BASE_PORT)
    try:
        with servers.one_at_a_time(FOLDER / "servers.lock"):
            servers.install_missing(local)
            packages.install(packages.missing_for_roles())
            local.start(local.all)
            env = local.write_env()
        for role in [options.only] if options.only else ROLES:
            follow(role, options.assay.resolve(), env)
    except Trouble as trouble:
        print(f"roles: {trouble}", file=sys.stderr)
        return 1
    finally:
        servers.wipe(local)
    return 0


if __name__ == "__main__":
    sys.exit(main())
