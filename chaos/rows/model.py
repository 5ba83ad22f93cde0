"""A model that is not what it says: no worker starts with it, and none that runs notices."""

import json
import shutil
import subprocess

import clients
import os

from scene import Scene

from . import row

ARCHITECTURE, ANOTHER = "resnet18-nodown", "resnet50-nodown"


def corrupt(folder) -> None:
    """One byte is another, far from the header."""
    with open(folder / "weights.safetensors", "r+b") as weights:
        weights.seek(-1000, os.SEEK_END)
        byte = weights.read(1)
        weights.seek(-1000, os.SEEK_END)
        weights.write(bytes([byte[0] ^ 1]))


def truncated(folder) -> None:
    os.truncate(folder / "weights.safetensors", (folder / "weights.safetensors").stat().st_size // 2)


def misshapen(folder) -> None:
    """Whole weights of another network."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"architecture": ANOTHER}))


def unreadable(folder) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:40])


def missing(folder) -> None:
    (folder / "weights.safetensors").unlink()


SPOILED = [corrupt, truncated, misshapen, unreadable, missing]


@row("model-spoiled", "a model corrupt, cut short, of another shape, unreadable, missing", full=5, short=3)
def spoiled(scene: Scene) -> None:
    folder = scene.world.folder / "model"
    if not (folder / "manifest.json").exists():
        clients.run([scene.world.binary, "model", "init", "--arch", ARCHITECTURE, "--out", folder], "assay model init")
    serving = scene.worker()
    scene.load(30)
    copy = scene.world.folder / "spoiled"
    for number, spoil in enumerate(SPOILED[:scene.trials]):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        spoil(copy)
        environment = os.environ | scene.world.environment | scene.settings | {"ASSAY__DETECTOR__MODEL": str(copy), "ASSAY__ADMIN__LISTEN": ""}
        done = subprocess.run([scene.world.binary, "worker"], env=environment, capture_output=True, text=True, timeout=60)
        scene.details[spoil.__name__] = done.stderr.strip().splitlines()[-1:]
        scene.claim(done.returncode == 2, f"{spoil.__name__}: refused with exit code 2, not {done.returncode}")
        scene.claim(str(copy) in done.stderr, f"{spoil.__name__}: the message names the model: {done.stderr.strip()[-200:]}")
        scene.claim(serving.ready(), "the worker that serves goes on")
        scene.until_settled(serving)
        scene.progress(number + 1)
    shutil.rmtree(copy, ignore_errors=True)
