#!/usr/bin/env python3
"""Puts libtorch under .local/libtorch: the CPU part of PyTorch's own wheel, and nothing more.

The wheel (0.5 GB to download) is unpacked by pip into a folder of its own; the build sees only a folder of
links to what it needs. libtorch_cuda.so is left out of it on purpose: the binary opens that at run time, so one
binary serves machines with and without a GPU. Running it again costs nothing.
"""

import argparse
import importlib.util
import os
import pathlib
import subprocess
import sys

TORCH = "2.11.0"
# What libtorch_cpu.so itself is linked against, though no GPU is needed to run it.
CUDA_TOOLKIT = "13.0.2"
LIBRARIES = ["libtorch.so", "libtorch_cpu.so", "libc10.so"]
NEEDED_AT_RUN_TIME = ["libcudart.so.13", "libcupti.so.13"]

ROOT = pathlib.Path(__file__).resolve().parents[2]


def link(path: pathlib.Path, target: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def install(wheels: pathlib.Path) -> None:
    if importlib.util.find_spec("pip") is None:
        sys.exit(f"libtorch: {sys.executable} has no pip; `python3 deploy/local/servers.py build-packages` brings Debian's")
    pip = [sys.executable, "-m", "pip", "install", "--target", str(wheels), "--upgrade"]
    for arguments in (
        ["--no-deps", f"torch=={TORCH}"],
        [f"cuda-toolkit[cudart,cupti]=={CUDA_TOOLKIT}"],
    ):
        print(f"libtorch: installing {arguments[-1]} under {os.path.relpath(wheels)}", flush=True)
        if subprocess.run([*pip, "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", *arguments]).returncode != 0:
            sys.exit(f"libtorch: pip could not install {arguments[-1]}; is the package index reachable?")


def lay_out(wheels: pathlib.Path, folder: pathlib.Path) -> None:
    """The folder that torch-sys takes as LIBTORCH."""
    torch = wheels / "torch"
    lib = folder / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    link(folder / "include", torch / "include")
    for name in LIBRARIES:
        link(lib / name, torch / "lib" / name)
    # PyTorch's wheel carries OpenMP's runtime under a name with a hash in some releases.
    openmp = next((torch / "lib").glob("libgomp*.so*"), None) or next((wheels / "torch.libs").glob("libgomp*.so*"), None)
    if openmp is None:
        sys.exit(f"libtorch: no libgomp in {torch}; was another release of PyTorch installed?")
    for name in ("libgomp.so", "libgomp.so.1", openmp.name):
        link(lib / name, openmp)
    for name in NEEDED_AT_RUN_TIME:
        found = next((wheels / "nvidia").rglob(name), None)
        if found is None:
            sys.exit(f"libtorch: no {name} below {wheels / 'nvidia'}; delete {wheels} and run this again")
        link(lib / name, found)
    (folder / "build-version").write_text(TORCH + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=pathlib.Path, default=ROOT / ".local", help="default: .local")
    into = parser.parse_args().into.resolve()
    wheels, folder = into / "wheels", into / "libtorch"
    version = folder / "build-version"
    if version.exists() and version.read_text().strip() == TORCH and (folder / "lib" / "libtorch_cpu.so").exists():
        return
    install(wheels)
    lay_out(wheels, folder)
    print(f"libtorch: {TORCH} is ready in {os.path.relpath(folder)}")


if __name__ == "__main__":
    main()
