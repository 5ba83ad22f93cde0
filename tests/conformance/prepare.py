#!/usr/bin/env python3
"""Makes what the conformance tests compare with: images, Pillow's crops of them, and PyTorch's scores.

    prepare.py OUT

fills OUT with
    images/…           images of all formats and many kinds and sizes
    crops/NAME.rgb     the 256×256 RGB crop of each, by Pillow and NumPy
    checkpoint.pt      an ImagiNet network with random weights, named as the published checkpoint
    generators.pt      a head that names the generator, likewise
    expected.json        for each image its logit, the generators' probabilities and the embedding's norm
Everything is seeded. Running it again costs nothing as long as these scripts stay as they are.

PyTorch is the wheel that `make toolchain` put under .local/wheels for its C++ libraries. It was built for CUDA and
wants NVIDIA's libraries (2.2 GB) even where it uses none of them, so it gets empty ones of the same names.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WHEELS = ROOT / ".local" / "wheels"
TOOLS = ROOT / ".local" / "conformance"

TORCH = "torch==2.11.0"
# Pillow is the reference of the pixels, so it is pinned, and with it the decoders that its wheel carries.
PACKAGES = ["pillow==13.0.0", "numpy", "filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec"]
# Only its definition of ResNet-50 is used.
WITHOUT_DEPENDENCIES = ["torchvision==0.26.0"]
EMPTY_LIBRARIES = [
    "libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcufft.so.12", "libcufile.so.0", "libcurand.so.10",
    "libcusparse.so.12", "libcusparseLt.so.0", "libnccl.so.2", "libnvshmem_host.so.3",
]  # fmt: skip


def say(text: str) -> None:
    print(f"conformance: {text}", flush=True)


def digest_of_scripts() -> str:
    digest = hashlib.sha256()
    for script in sorted(HERE.glob("*.py")):
        digest.update(script.name.encode() + b"\0" + script.read_bytes())
    return digest.hexdigest()


class Tools:
    """A Python of our own with Pillow and PyTorch."""

    def __init__(self) -> None:
        self.python = TOOLS / "bin" / "python"
        self.stubs = TOOLS / "empty"

    def environment(self) -> dict[str, str]:
        borrowed = {"PYTHONPATH": str(WHEELS), "LD_LIBRARY_PATH": str(self.stubs)} if self.stubs.exists() else {}
        return os.environ | borrowed | {
            "PYTHONDONTWRITEBYTECODE": "1",
            # Keeps memory between images: handing 100 MB back for each layer takes a third of the time.
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
        }

    def run(self, script: str, out: pathlib.Path) -> None:
        finished = subprocess.run([self.python, HERE / script, out], env=self.environment())
        if finished.returncode != 0:
            sys.exit(f"conformance: {script} failed; see above")

    def install(self) -> None:
        done = TOOLS / "installed"
        wanted = " ".join(PACKAGES + WITHOUT_DEPENDENCIES + [TORCH, sys.version])
        if done.exists() and done.read_text() == wanted:
            return
        say(f"installing Pillow, NumPy and torchvision under {TOOLS.relative_to(ROOT)}")
        shutil.rmtree(TOOLS, ignore_errors=True)
        # Without a pip of its own: Debian's python3 can't make one unless python3-venv is installed too.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", TOOLS], check=True)
        self.pip(*PACKAGES)
        self.pip("--no-deps", *WITHOUT_DEPENDENCIES)
        self.make_empty_libraries()
        if not self.torch_imports():
            say(f"{TORCH} of .local/wheels does not start here: installing all of it (2.7 GB)")
            shutil.rmtree(self.stubs)
            self.pip(TORCH)
        done.write_text(wanted)

    def pip(self, *arguments: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check"]
        command = [*pip, "install", "--quiet", *arguments]
        if subprocess.run(command).returncode != 0:
            sys.exit(f"conformance: pip could not install {' '.join(arguments)}; is the package index reachable?")

    def make_empty_libraries(self) -> None:
        self.stubs.mkdir()
        for name in EMPTY_LIBRARIES:
            compile_nothing = ["cc", "-shared", f"-Wl,-soname,{name}", "-o", self.stubs / name, "-x", "c", os.devnull]
            subprocess.run(compile_nothing, check=True)

    def torch_imports(self) -> bool:
        check = [self.python, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import reference", HERE]
        return subprocess.run(check, env=self.environment(), stderr=subprocess.DEVNULL).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="the folder to fill")
    out = parser.parse_args().out.resolve()
    stamp = out / "stamp"
    digest = digest_of_scripts()
    if stamp.exists() and stamp.read_text() == digest:
        return

    started = time.monotonic()
    tools = Tools()
    tools.install()
    installed = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tools.run("images.py", out)
    tools.run("reference.py", out)
    stamp.write_text(digest)
    say(f"ready in {out} after {time.monotonic() - started:.0f} s, {installed - started:.0f} s of them for installing")


if __name__ == "__main__":
    main()
