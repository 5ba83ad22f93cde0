"""RabbitMQ goes away, or cannot be reached, or will not take more."""

import json
import time

from process import memory
from scene import Scene, settled
from world import wait

from . import row

PREFETCH, BULK_PREFETCH = 160, 32
# RabbitMQ 3.10 can lose a queue that was declared just before a kill.
DECLARED = 2.0
# What RabbitMQ logs when it closes a channel for its consumer's delay.
CLOSED = "timed out waiting for delivery acknowledgement"


def restarts(kill: bool):
    def act(scene: Scene) -> None:
        worker = scene.worker(through={"database"})
        scene.load()
        time.sleep(DECLARED)
        for number in range(scene.trials):
            scene.until_settled(worker, 10)
            time.sleep(scene.rng.uniform(0, 0.5))
            scene.world.restart("rabbitmq", kill)
            scene.recovers(worker)
            scene.claim(worker.alive(), "the worker outlives the broker")
            scene.progress(number + 1)
        as_before(scene, worker)

    return act


row("broker-kill", "RabbitMQ kill -9 and restart", full=6, short=1)(restarts(kill=True))
row("broker-restart", "RabbitMQ stop and restart", full=4, short=0)(restarts(kill=False))


@row("broker-cut", "connections to RabbitMQ reset", full=40, short=2)
def cut(scene: Scene) -> None:
    worker = scene.worker(through={"broker", "database"})
    scene.load()
    for number in range(scene.trials):
        scene.until_settled(worker, scene.rng.randint(1, 10))
        scene.world.broker.cut(refuse=number % 4 == 1)
        time.sleep(scene.rng.uniform(0, 1.5) if number % 4 == 1 else 0)
        scene.world.broker.heal()
        scene.recovers(worker)
        scene.progress(number + 1)
    if not scene.short:
        as_before(scene, worker)


@row("broker-half-open", "packets to and from RabbitMQ dropped", full=4, short=1)
def half_open(scene: Scene) -> None:
    # The default notices within 40 s; the short form does not wait for it.
    settings = scene.world.proxied({"broker"})
    if scene.short:
        settings["ASSAY__BROKER__URL"] += "?heartbeat=2"
    worker = scene.worker(through={"broker", "database"}, **settings)
    scene.load()
    for number in range(scene.trials):
        scene.until_settled(worker, 10)
        scene.world.broker.go_dark()
        time.sleep(scene.rng.uniform(2, 4) if scene.short else scene.rng.uniform(10, 50))
        scene.world.broker.heal()
        scene.recovers(worker)
        scene.progress(number + 1)
    if not scene.short:
        as_before(scene, worker)


@row("memory-alarm", "RabbitMQ's memory alarm blocks publishing", full=3, short=1)
def alarm(scene: Scene) -> None:
    worker = scene.worker(through={"database"})
    scene.load(150)
    grown = []
    for number in range(scene.trials):
        scene.until_settled(worker, 100)
        # A backlog, since a worker with nothing to publish has no reason to pause.
        scene.world.database.hold_answers()
        scene.world.alarm(True)
        scene.world.database.heal()
        scene.until(lambda: "blocks publishing" in worker.get("/readyz")[1], 10, "/readyz says that the broker blocks publishing")
        time.sleep(1)
        taken, held = outcomes(worker), memory(worker.pid)
        time.sleep(2 if scene.short else 10)
        scene.claim(outcomes(worker) == taken, f"intake pauses; {outcomes(worker) - taken:.0f} more were judged")
        grown.append((memory(worker.pid) - held) / 1e6)
        scene.world.alarm(False)
        scene.recovers(worker)
        scene.progress(number + 1)
    scene.details["resident_growth_mb"] = round(max(grown), 1)
    scene.claim(max(grown) < 16, f"memory stays flat while publishing is blocked; it grew by {max(grown):.0f} MB")


@row("consumer-timeout", "RabbitMQ closes channels that acknowledge too late", full=3, short=0)
def consumer_timeout(scene: Scene) -> None:
    scene.world.consumer_timeout(milliseconds=3000, tick=500)
    scene.closing.callback(scene.world.consumer_timeout)
    worker = scene.worker(through={"database"})
    scene.load()
    for number in range(scene.trials):
        scene.until_settled(worker, 10)
        logged = scene.world.broker_logs()
        scene.world.database.hold_answers()
        scene.until(lambda: CLOSED in logged(), 30, "the broker closes a channel with 406")
        time.sleep(scene.rng.uniform(0, 4))
        scene.world.database.heal()
        scene.recovers(worker)
        scene.until(lambda: prefetch(scene) == PREFETCH + BULK_PREFETCH, 60, "every channel is made again")
        scene.progress(number + 1)
    # Not filled up as elsewhere: these channels would be closed again.
    subscribed(scene)


def outcomes(worker) -> float:
    return sum(count for name, count in worker.metrics().items() if name.startswith("assay_outcomes_total"))


def as_before(scene: Scene, worker) -> None:
    """Prefetch and confirms are as they were at the start: with a database that does not answer, the worker takes as
    much as the prefetch allows and not one more."""
    allowed = subscribed(scene)
    scene.world.database.hold_answers()
    some = scene.rng.choice(scene.world.good)
    scene.send([scene.composer.native(f"{scene.name}/fill-{queue}-{number}", some, queue=queue)
                for queue, count in (("images", PREFETCH), ("images.bulk", BULK_PREFETCH)) for number in range(count + 20)])
    channels = wait(lambda: full(consuming(scene)), 20) or consuming(scene)
    out = sum(channel["messages_unacknowledged"] for channel in channels)
    scene.details |= {"prefetch": allowed, "unacknowledged": out}
    scene.claim(out == allowed, f"as many messages are out as the prefetch allows ({allowed}), not {out}")
    scene.world.database.heal()
    # The worker acknowledges only what was confirmed, so this shows that confirms work.
    before = settled(worker)
    scene.until(lambda: settled(worker) >= before + PREFETCH, 30, "publications are confirmed afterwards")


def subscribed(scene: Scene) -> int:
    """The prefetch as the broker sees it, once both queues are subscribed to (the bulk queue is when its earlier messages
    were taken, which live ones go before) and the broker has noticed that consumers which went dark are gone."""
    scene.rest()
    scene.wait_until_done()
    wait(lambda: prefetch(scene) == PREFETCH + BULK_PREFETCH, 90)
    scene.claim(prefetch(scene) == PREFETCH + BULK_PREFETCH, f"the prefetch is {PREFETCH} + {BULK_PREFETCH} afterwards, not {prefetch(scene)}")
    return prefetch(scene)


def prefetch(scene: Scene) -> int:
    return sum(channel["prefetch_count"] for channel in consuming(scene))


def full(channels: list[dict]) -> list[dict]:
    return channels if all(channel["messages_unacknowledged"] >= channel["prefetch_count"] for channel in channels) else []


def consuming(scene: Scene) -> list[dict]:
    """The broker's own view of the channels by which the worker consumes requests."""
    def listed(what: str, *columns: str) -> list[dict]:
        return json.loads(scene.world.control("--silent", "--formatter", "json", what, *columns))

    # People's decisions come by a channel of their own.
    others = {one["channel_pid"] for one in listed("list_consumers", "queue_name", "channel_pid") if one["queue_name"].endswith(".decisions")}
    channels = listed("list_channels", "pid", "consumer_count", "prefetch_count", "messages_unacknowledged", "confirm")
    return [channel for channel in channels if channel["consumer_count"] and channel["pid"] not in others]
