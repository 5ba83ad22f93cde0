#!/usr/bin/env python3
"""Builds the root filesystem of the image: the binaries, the libraries that they load, and what those read. Nothing else.

The Dockerfile runs this, and so does `make image-root`, whose result is run in the tests as a container would run it: what
they prove of the list of files holds for the image. There is no shell in it, no package manager and no other program.

The libraries are found by following ldd, so none is listed here but those which are opened by name at run time.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ["assay", "assay-decoder", "assay-decoder-heif"]
# Neither root nor a user of any distribution; the number that "nonroot" has in other images.
USER = 65532
# Where what is not the system's lies; the loader is told of it in ld.so.conf.
OURS = pathlib.PurePosixPath("/usr/lib/assay")

# Opened by name at run time, so no ldd tells of them: by us (crates/engine/src/device.rs), by libtorch_cuda, by cuDNN.
CUDA_BY_NAME = ["libtorch_cuda.so", "libtorch_cuda_linalg.so", "libcudnn_*.so.*", "libnvrtc.so.*", "libnvrtc-builtins.so.*"]
# Opened by name by assay-decoder-heif; newer ones than Debian 12's have their decoder of HEVC in a file of its own.
HEIF_BY_NAME = ["libheif.so.1", "libheif/plugins/libheif-libde265.so"]
# The driver's own, which the container runtime brings from the host.
DRIVER = re.compile(r"^(libcuda|libnvidia-.*)\.so")
# What PyTorch's wheel asks for beside its libraries' needs.
NOT_FOR_LIBTORCH = re.compile(r"^(triton|cuda-bindings)\b")

FILES = {
    "etc/passwd": f"assay:x:{USER}:{USER}:assay:/tmp:/usr/sbin/nologin\n",
    "etc/group": f"assay:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    # Written by the container's runtime, which mounts its own over them.
    "etc/hosts": "",
    "etc/resolv.conf": "",
    # NVIDIA's runtime adds the driver's folder in ld.so.conf.d and writes the cache anew.
    "etc/ld.so.conf": f"{OURS}\ninclude /etc/ld.so.conf.d/*.conf\n",
}
# What libraries and scanners read.
COPIED = ["/etc/ssl/certs/ca-certificates.crt", "/etc/os-release", "/etc/debian_version"]
# Mount points and the one folder that may be written, where somebody mounts something there.
FOLDERS = ["dev", "etc/ld.so.conf.d", "model", "proc", "sys", "tmp"]


def run(command: list, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"image-root: {' '.join(map(str, command))} failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def needed(file: pathlib.Path, search: list[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Name = file of every library that the loader opens for this one."""
    path = ":".join(str(folder) for folder in search)
    found = {}
    for line in run(["ldd", file], env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": path}).splitlines():
        name, arrow, target = line.strip().partition(" => ")
        target = (target if arrow else name).split(" (")[0].strip()
        if target == "not found":
            if not DRIVER.match(name):
                sys.exit(f"image-root: {file} needs {name}, which is not there")
        elif target.startswith("/"):
            found[pathlib.PurePosixPath(name.split(" (")[0]).name] = pathlib.Path(target)
    return found


def is_the_systems(path: pathlib.Path) -> bool:
    return path.parts[1] in ("lib", "lib64") or path.parts[1:3] in (("usr", "lib"), ("usr", "lib64"))


def place_of(name: str, source: pathlib.Path) -> pathlib.PurePosixPath:
    """Where a library lies in the image: the system's where they were, with /lib in /usr as Debian has it."""
    if not is_the_systems(source):
        return OURS / name
    parts = source.parts[1:] if source.parts[1] == "usr" else ("usr", *source.parts[1:])
    return pathlib.PurePosixPath("/", *parts[:-1], name)


def heif_libraries() -> list[pathlib.Path]:
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [pathlib.Path("/usr/lib") / multiarch, pathlib.Path("/usr/lib64"), pathlib.Path("/usr/lib")]
    found = [folder / name for name in HEIF_BY_NAME for folder in folders if (folder / name).exists()]
    if not found:
        sys.exit("image-root: no libheif.so.1, which HEIC is decoded with; run `make toolchain`")
    return found


def libraries(binaries: list[pathlib.Path], cuda: list[pathlib.Path]) -> dict[pathlib.PurePosixPath, pathlib.Path]:
    """Place in the image = file here."""
    found = {}
    by_name = [library for pattern in (CUDA_BY_NAME if cuda else []) for folder in cuda for library in folder.glob(pattern)]
    for library in by_name:
        found[OURS / library.name] = library
    heif = heif_libraries()
    for library in heif:
        found[place_of(library.name, library)] = library
    for file in [*binaries, *by_name, *heif]:
        for name, source in needed(file, cuda).items():
            found[place_of(name, source)] = source
    return found


def cuda_folders(wheels: pathlib.Path) -> list[pathlib.Path]:
    """The folders of PyTorch's CUDA libraries; those of NVIDIA that are not there yet are installed (2 GB)."""
    metadata = next(wheels.glob("torch-*.dist-info/METADATA"), None)
    if metadata is None:
        sys.exit(f"image-root: no torch in {wheels}; run `make toolchain`")
    wants = re.findall(r"^Requires-Dist: ([^;\n]+); platform_system == .Linux.$", metadata.read_text(), re.MULTILINE)
    wants = [want.strip() for want in wants if not NOT_FOR_LIBTORCH.match(want)]
    if not list(wheels.glob("nvidia/**/libcudnn.so.*")):
        print(f"image-root: installing {', '.join(wants)}", flush=True)
        run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
             "--only-binary=:all:", "--upgrade", "--target", wheels, *wants])
    return [wheels / "torch" / "lib", *sorted({library.parent for library in wheels.glob("nvidia/**/lib*.so*")})]


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    executable = source.stat().st_mode & 0o111
    target.chmod(0o755 if executable else 0o644)


def owners(sources: list[pathlib.Path], wheels: pathlib.Path) -> tuple[set[str], set[str]]:
    """The Debian packages and the wheels that these files came in."""
    records = {}
    for record in wheels.glob("*.dist-info/RECORD"):
        for line in record.read_text().splitlines():
            records[line.split(",")[0]] = record.parent.name
    packages, distributions = set(), set()
    for source in sources:
        if is_the_systems(source):
            # dpkg knows a file by the path that it had before /lib moved into /usr, or by the one after.
            for path in (source, source.resolve(), pathlib.Path(str(source.resolve()).removeprefix("/usr"))):
                owner = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
                if owner.returncode == 0:
                    packages.add(owner.stdout.split(":")[0])
        elif source.resolve().is_relative_to(wheels):
            distributions.add(records[str(source.resolve().relative_to(wheels))])
    return packages, distributions


def licences(into: pathlib.Path, sources: list[pathlib.Path], wheels: pathlib.Path) -> None:
    """The terms of everything in the image; the bill of materials reads the names of these files (sbom.py)."""
    copy(ROOT / "LICENSE", into / "LICENSE")
    packages, distributions = owners(sources, wheels)
    for package in sorted(packages | {"ca-certificates"}):
        copy(pathlib.Path("/usr/share/doc") / package / "copyright", into / f"{package}.copyright")
    for distribution in sorted(distributions):
        for terms in (wheels / distribution).rglob("*"):
            # Some wheels have no text of their terms, but all name them in their metadata.
            if terms.is_file() and re.match(r"(?i)licen[sc]e|notice|metadata", terms.name):
                copy(terms, into / distribution.removesuffix(".dist-info") / terms.name)


def build(options: argparse.Namespace) -> pathlib.Path:
    into: pathlib.Path = options.into.resolve()
    binaries = [options.binaries.resolve() / name for name in BINARIES]
    for binary in binaries:
        if not binary.exists():
            sys.exit(f"image-root: no {binary}; run `make build`")
    wheels = (ROOT / ".local" / "wheels").resolve()
    cuda = cuda_folders(wheels) if options.variant == "cuda" else []
    shutil.rmtree(into, ignore_errors=True)
    for folder in FOLDERS:
        (into / folder).mkdir(parents=True)
    (into / "tmp").chmod(0o1777)
    for name in ("lib", "lib64"):
        (into / name).symlink_to(f"usr/{name}")
        (into / "usr" / name).mkdir(parents=True)
    found = libraries(binaries, cuda)
    for place, source in sorted(found.items()):
        copy(source, into / place.relative_to("/"))
    for binary in binaries:
        placed = into / "usr" / "bin" / binary.name
        copy(binary, placed)
        # Names of functions stay for backtraces; lines go (nine tenths of the file). A panic says its line itself.
        run(["strip", "--strip-debug", placed])
    for name, text in FILES.items():
        (into / name).write_text(text)
    for path in COPIED:
        copy(pathlib.Path(path), into / path.lstrip("/"))
    copy(ROOT / "configs" / "production.toml", into / "etc" / "assay" / "production.toml")
    licences(into / "usr" / "share" / "doc" / "assay", list(found.values()), wheels)
    if options.model:
        for name in ("manifest.json", "weights.safetensors"):
            if not (options.model / name).exists():
                sys.exit(f"image-root: no {name} in {options.model}; make a model with `assay model import` or `assay model init`")
        for file in sorted(path for path in options.model.iterdir() if path.is_file()):
            copy(file, into / "model" / file.name)
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin") or "ldconfig"
    run([ldconfig, "-X", "-r", into])
    return into


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=["cpu", "cuda"], default="cpu", help="cuda adds PyTorch's CUDA libraries")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target" / "release", metavar="DIR")
    parser.add_argument("--model", type=pathlib.Path, metavar="DIR", help="a model's folder, to lie in /model of the image")
    parser.add_argument("--into", type=pathlib.Path, default=ROOT / "target" / "image-root", metavar="DIR")
    into = build(parser.parse_args())
    files = [path for path in into.rglob("*") if path.is_file() and not path.is_symlink()]
    print(f"image-root: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB in {into}")


if __name__ == "__main__":
    main()
