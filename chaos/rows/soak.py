"""All of it at random for a long time, on several workers. One of them, the elder, lives through all of it: what it
holds of memory, files and connections must not grow."""

import os
import signal
import statistics
import time

import watchers
from process import family, memory
from proxy import Trap
from scene import GRACE, Scene
from store_faults import WAYS, WRONG_ETAG

from . import row

EVERYWHERE = {"broker", "database", "store"}
YOUNGER = 2
LOAD = 60
# After so many seconds the load rests and what there is by then is judged.
CHAPTER = 180
# What a third of the soak may have more of than another for no bad reason: MB, and connections that are kept for later.
MEMORY, FILES = 24, 12


@row("soak", "all of it at random, 3 workers", full=1, short=0)
def soak(scene: Scene) -> None:
    scene.composer.also = frozenset({"object_store_unavailable"})
    elder = scene.worker(through=EVERYWHERE)
    younger = [scene.worker(through=EVERYWHERE) for _ in range(YOUNGER)]
    began = judged = time.monotonic()
    scene.load(LOAD)
    samples, deck, done = [], [], dict.fromkeys((fault.__name__ for fault in FAULTS), 0)
    time.sleep(2)
    while time.monotonic() - began < scene.minutes * 60:
        # Shuffled rather than drawn, so that each comes as often as the others.
        deck = deck or scene.rng.sample(FAULTS, len(FAULTS))
        fault = deck.pop()
        fault(scene, younger)
        done[fault.__name__] += 1
        scene.recovers(elder)
        if not scene.claim(elder.alive(), f"the elder outlives {fault.__name__}"):
            break
        younger[:] = [worker if worker.alive() else scene.worker(through=EVERYWHERE) for worker in younger]
        time.sleep(scene.rng.uniform(1, 4))
        samples.append((time.monotonic() - began, *held(elder.pid)))
        scene.details |= {"faults": done, "elder": figures(samples)}
        scene.done = sum(done.values())
        scene.tell(f"{(time.monotonic() - began) / 60:.1f} of {scene.minutes:g} min, {scene.done} faults, elder {samples[-1][1] / 1e6:.0f} MB, "
                   f"{samples[-1][2]} files, {samples[-1][3]} connections")
        if time.monotonic() - judged > CHAPTER:
            scene.judge_so_far()
            judged = time.monotonic()
            scene.load(LOAD)
    for what, most in (("resident_mb", MEMORY), ("files", FILES), ("connections", FILES)):
        first, last = figures(samples)[what]
        scene.claim(last - first <= most, f"{what} of a worker stays flat: {first} in the first third, {last} in the last")


def figures(samples: list[tuple]) -> dict[str, list[float]]:
    """Medians of the first and of the last third."""
    third = max(1, len(samples) // 3)
    return {name: [round(statistics.median(sample[column] / unit for sample in part), 1) for part in (samples[:third], samples[-third:])]
            for name, column, unit in (("resident_mb", 1, 1e6), ("files", 2, 1), ("connections", 3, 1))}


def held(pid: int) -> tuple[int, int, int]:
    """Resident bytes of it and its decoders; its open files; sockets among them."""
    links = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(entry.path))
        except OSError:
            pass
    return sum(map(memory, family(pid))), len(links), sum(link.startswith("socket:") for link in links)


# The faults. Each is over when it returns; workers that it killed are replaced by the soak.


def worker_killed(scene: Scene, younger: list) -> None:
    scene.rng.choice(younger).kill()


def worker_stopped(scene: Scene, younger: list) -> None:
    code = scene.rng.choice(younger).terminate(GRACE)
    scene.claim(code == 0, f"an orderly stop ends with exit code 0, not {code}")


def worker_stopped_twice(scene: Scene, younger: list) -> None:
    worker = scene.rng.choice(younger)
    for _ in range(2):
        worker.send(signal.SIGTERM)
        time.sleep(scene.rng.uniform(0, 0.05))
    worker.process.wait(GRACE)


def broker_killed(scene: Scene, _younger) -> None:
    time.sleep(2)
    scene.world.restart("rabbitmq", kill=True)


def broker_restarted(scene: Scene, _younger) -> None:
    scene.world.restart("rabbitmq", kill=False)


def broker_cut(scene: Scene, _younger) -> None:
    for _ in range(scene.rng.randint(1, 5)):
        scene.world.broker.cut()
        time.sleep(scene.rng.uniform(0, 1))


def broker_dark(scene: Scene, _younger) -> None:
    scene.world.broker.go_dark()
    time.sleep(scene.rng.uniform(5, 30))
    scene.world.broker.heal()


def broker_alarmed(scene: Scene, _younger) -> None:
    scene.world.alarm(True)
    time.sleep(scene.rng.uniform(2, 8))
    scene.world.alarm(False)


def database_killed(scene: Scene, _younger) -> None:
    scene.world.restart("postgres", kill=True)


def database_slow(scene: Scene, _younger) -> None:
    scene.world.database.hold_answers()
    time.sleep(scene.rng.uniform(1, 15))
    scene.world.database.heal()


def step_cut(scene: Scene, _younger) -> None:
    """Connections break at named steps, of workers that live on."""
    for step, server in [(watchers.RECORD, "database"), (watchers.RECORDED, "database"), (watchers.PUBLISH, "broker"),
                         (watchers.CONFIRM, "broker"), (watchers.ACK, "broker")]:
        proxy = getattr(scene.world, server)
        trap = Trap(step, scene.rng.randint(1, 20), act=lambda connection: connection.cut(), forward=scene.rng.random() < 0.5)
        proxy.spring(trap)
        scene.claim(trap.sprung.wait(30), f"{step} is reached under load")
        proxy.spring(None)


def store_spoiled(scene: Scene, _younger) -> None:
    way = scene.rng.choice([way for way in WAYS if way != WRONG_ETAG])
    scene.world.store.share = (way, scene.rng.randint(3, 6))
    time.sleep(scene.rng.uniform(3, 8))
    scene.world.store.heal()


def store_killed(scene: Scene, _younger) -> None:
    scene.world.restart("s3", kill=True)


def same_submission(scene: Scene, _younger) -> None:
    message = scene.composer.native(f"{scene.name}/same-{time.monotonic_ns()}", scene.rng.choice(scene.world.good))
    scene.send([message] * 50)


FAULTS = [worker_killed, worker_stopped, worker_stopped_twice, broker_killed, broker_restarted, broker_cut, broker_dark, broker_alarmed,
          database_killed, database_slow, step_cut, store_spoiled, store_killed, same_submission]
