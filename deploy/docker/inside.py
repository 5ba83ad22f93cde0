#!/usr/bin/env python3
"""Runs a command in the image's root filesystem as a container with a strict security context would.

    inside.py ROOT [--share HOST=INSIDE]… -- COMMAND…

Read-only root, /tmp in memory, user 65532, no capability left that could be had, no way to new privileges, and a network
that reaches nothing, not even this machine. The process keeps its number. Without root's rights it takes a user namespace,
which only does the mounting: the image itself needs none.
"""

import argparse
import ctypes
import os
import pathlib
import sys

from image_root import USER

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NOT_PERMITTED = 77

LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int, act: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        print(f"inside: {act}: {os.strerror(error)}", file=sys.stderr)
        sys.exit(NOT_PERMITTED)


def mount(source, target, kind=None, flags=0) -> None:
    encoded = [str(word).encode() if word is not None else None for word in (source, target, kind)]
    check(LIBC.mount(*encoded, ctypes.c_ulong(flags), None), f"mount {target}")


def read_only(target) -> None:
    # Flags that the host's mount has can't be taken away in a user namespace.
    kept = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV)
    mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def seclude(root: pathlib.Path, shares: list[tuple[str, str]]) -> None:
    user, group = os.geteuid(), os.getegid()
    rootless = CLONE_NEWUSER if user != 0 else 0
    check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | rootless), "unshare")
    if rootless:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"{USER} {user} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"{USER} {group} 1")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND)
    mount("tmpfs", root / "tmp", "tmpfs", MS_NOSUID | MS_NODEV)
    for name in ("proc", "dev", "etc/hosts", "etc/resolv.conf"):
        if pathlib.Path("/", name).exists():
            mount(f"/{name}", root / name, None, MS_BIND | MS_REC)
    for host, inside in shares:
        target = root / inside.lstrip("/")
        target.mkdir(exist_ok=True)
        mount(host, target, None, MS_BIND)
        read_only(target)
    read_only(root)
    os.chroot(root)
    os.chdir("/")


def give_up_rights() -> None:
    capability = 0
    while LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--share", action="append", default=[], metavar="HOST=INSIDE", help="a folder, read-only, on a path below /tmp")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name.startswith(("ASSAY", "AWS_"))}
    seclude(options.root.resolve(), [tuple(share.split("=", 1)) for share in options.share])
    give_up_rights()
    try:
        os.execve(f"/usr/bin/{options.command[0]}", options.command, environment)
    except OSError as error:
        sys.exit(f"inside: {options.command[0]}: {error}")


if __name__ == "__main__":
    main()
