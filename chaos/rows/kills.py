"""The worker itself goes away: killed at random and at each named step, stopped in order, or one of several."""

import signal
import time

import watchers
from assay import Worker
from proxy import Proxy, Trap
from scene import GRACE, Scene, kill, settled
from world import wait

from . import row

STEPS = [
    ("step-before-transaction", "kill -9 before the transaction", watchers.RECORD, "database", False),
    ("step-after-commit", "kill -9 after the commit, unheard", watchers.RECORDED, "database", False),
    ("step-after-publish", "kill -9 after the publication", watchers.PUBLISH, "broker", True),
    ("step-after-confirm", "kill -9 after the confirm", watchers.CONFIRM, "broker", True),
    ("step-before-ack", "kill -9 before the acknowledgement", watchers.ACK, "broker", False),
]
# A step is awaited for so many of its occurrences at most, so that it meets a worker at any point of its life.
LATEST = 40


@row("worker-kill", "kill -9 of the worker at random moments", full=170, short=4)
def at_random(scene: Scene) -> None:
    worker = scene.worker()
    scene.load()
    for number in range(scene.trials):
        if scene.rng.random() < 0.2:
            # While it starts.
            time.sleep(scene.rng.uniform(0, 0.3))
            worker.kill()
        else:
            worker.wait_until_ready(30)
            time.sleep(scene.rng.uniform(0, 0.7))
            worker.kill()
        killed = time.monotonic()
        worker = scene.worker(ready=False)
        if number % 10 == 0 or number == scene.trials - 1:
            scene.recovers(worker, killed)
        scene.progress(number + 1)


def at_step(step: str, server: str, forward: bool):
    def act(scene: Scene) -> None:
        proxy: Proxy = getattr(scene.world, server)
        worker = scene.worker(through={server})
        scene.load()
        for number in range(scene.trials):
            trap = Trap(step, scene.rng.randint(1, LATEST), kill(worker), forward)
            proxy.spring(trap)
            if not scene.claim(trap.sprung.wait(30), f"the step is reached under load (trial {number + 1})"):
                return
            worker.process.wait()
            killed = time.monotonic()
            worker = scene.worker(through={server}, ready=False)
            if number % 10 == 0 or number == scene.trials - 1:
                scene.recovers(worker, killed)
            else:
                worker.wait_until_ready(30)
            scene.progress(number + 1)

    return act


for name, title, step, server, forward in STEPS:
    row(name, title, full=30, short=1)(at_step(step, server, forward))


@row("same-submission", "one submission 100 times at once, 3 workers", full=20, short=1)
def at_once(scene: Scene) -> None:
    workers = [scene.worker() for _ in range(3)]
    for number in range(scene.trials):
        message = scene.composer.native(f"{scene.name}/at-once-{number}", scene.rng.choice(scene.world.good))
        scene.send([message] * 100)
        scene.progress(number + 1)
    scene.wait_until_done()
    shares = [settled(worker) for worker in workers]
    scene.details["settled_by_worker"] = shares
    scene.claim(min(shares) > 0, f"all of them take part: they settled {shares}")
    rows = len(scene.reader.rows())
    scene.claim(rows == scene.trials, f"{scene.trials} rows for {100 * scene.trials} messages, not {rows}")
    republished = sum(worker.metrics().get("assay_republished_total", 0) for worker in workers)
    scene.claim(republished >= 90 * scene.trials, "repetitions publish the first outcome again")


@row("sigterm", "SIGTERM under load", full=12, short=1)
def in_order(scene: Scene) -> None:
    worker = scene.worker()
    scene.load(150)
    for number in range(scene.trials):
        scene.until_settled(worker, 20)
        time.sleep(scene.rng.uniform(0, 0.3))
        code = worker.terminate(GRACE)
        scene.claim(code == 0, f"it drains and ends with exit code 0, not {code}")
        ended = time.monotonic()
        worker = scene.worker(ready=False)
        scene.recovers(worker, ended)
        scene.progress(number + 1)


def holds(scene: Scene, worker: Worker) -> bool:
    """Makes the worker wait for the database, and says whether there is an outcome that it waits with."""
    scene.world.database.heal()
    time.sleep(scene.rng.uniform(0.05, 0.2))
    scene.world.database.hold_answers()
    time.sleep(scene.rng.uniform(0.2, 0.6))
    return worker.metrics().get("assay_in_flight_images", 0) > 0


@row("sigterm-twice", "a second SIGTERM", full=12, short=1)
def at_once_please(scene: Scene) -> None:
    worker = scene.worker(through={"database"})
    scene.load()
    for number in range(scene.trials):
        scene.claim(wait(lambda: holds(scene, worker), 30), "a worker under load holds outcomes that it can't record")
        worker.send(signal.SIGTERM)
        time.sleep(scene.rng.uniform(0.1, 0.4))
        scene.claim(worker.alive(), "after the first signal it finishes what it holds")
        worker.send(signal.SIGTERM)
        ended = wait(lambda: not worker.alive(), 5)
        scene.claim(ended and worker.process.returncode == 130, f"a second signal ends it at once with 130, not {worker.process.returncode}")
        worker.kill()
        scene.world.database.heal()
        again = time.monotonic()
        worker = scene.worker(through={"database"}, ready=False)
        scene.recovers(worker, again)
        scene.progress(number + 1)
