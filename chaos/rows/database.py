"""PostgreSQL goes away, answers too late, or has no room."""

import contextlib
import os
import subprocess
import time

import clients
import postgres
import watchers
from proxy import Trap
from scene import Scene
from world import SMALL_DATABASE, wait

from . import NotRun, row

LATEST = 30
ROOM = "192m"


@row("database-kill", "PostgreSQL kill -9 and restart", full=10, short=1)
def killed(scene: Scene) -> None:
    worker = scene.worker()
    scene.load()
    for number in range(scene.trials):
        scene.until_settled(worker, scene.rng.randint(5, 50))
        scene.world.restart("postgres", kill=True)
        scene.recovers(worker)
        scene.progress(number + 1)


@row("database-lost-reply", "a commit whose reply is lost", full=40, short=2)
def lost_reply(scene: Scene) -> None:
    worker = scene.worker(through={"database"})
    scene.load()
    for number in range(scene.trials):
        trap = Trap(watchers.RECORDED, scene.rng.randint(1, LATEST), act=lambda _connection: None, forward=False)
        scene.world.database.spring(trap)
        if not scene.claim(trap.sprung.wait(30), f"a commit is reached under load (trial {number + 1})"):
            return
        scene.recovers(worker)
        scene.progress(number + 1)
    scene.claim(worker.alive(), "the worker outlives it")


@row("database-full", "PostgreSQL's disk is full", full=3, short=1)
def full(scene: Scene) -> None:
    small = postgres.Postgres(scene.world.set.data / "small", scene.world.set.who, scene.world.base_port + SMALL_DATABASE,
                              scene.world.set.certificates)
    room = tmpfs(scene, small)
    small.start()
    scene.closing.callback(small.kill)
    scene.settings["ASSAY__DATABASE__URL"] = scene.reader.database = small.url
    clients.run([scene.world.binary, "migrate"], "assay migrate", env=os.environ | scene.world.environment | scene.settings)
    worker = scene.worker()
    scene.load(120)
    ends = []
    for number in range(scene.trials):
        scene.until_settled(worker, 50)
        ballast = room / "ballast"
        fill(ballast)
        said = worker.words().count("recording outcomes failed: trying again")
        scene.until(lambda: worker.words().count("recording outcomes failed: trying again") > said, 60, "the worker meets the full disk")
        time.sleep(scene.rng.uniform(1, 3))
        ends.append("refused rows" if small.healthy() else "gave up")
        ballast.unlink()
        if not wait(small.healthy, 3):
            small.kill()
            small.start()
        scene.recovers(worker)
        scene.progress(number + 1)
    scene.details["postgres"] = ends


def tmpfs(scene: Scene, small: postgres.Postgres):
    """A small file system of its own for the cluster."""
    if os.geteuid() != 0:
        raise NotRun("only root may mount the small file system")
    small.data.mkdir(exist_ok=True)
    if small.data.is_mount():
        # Of a run that was killed.
        small.kill()
        subprocess.run(["umount", "--lazy", str(small.data)])
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "assay-chaos", str(small.data)], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotRun(f"no small file system can be mounted: {done.stderr.strip()}")
    scene.closing.callback(subprocess.run, ["umount", "--lazy", str(small.data)])
    return small.data


def fill(path) -> None:
    with open(path, "wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(1 << 16))
    with open(path, "ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(512))
