"""The database away, and the store refusing every key, for hours at shortened pauses."""

import time

from scene import Scene

from . import row

# By default finished work waits a minute for a broker, and the retry schedule lasts six: two hours are 120 of the one and
# 19 of the other. Here they are one second and three.
SECONDS, SECONDS_SHORT = 120, 15
OUTAGE_WAIT = "1"
# Fewer than any of these would be spent if each pause cost one.
DELIVERIES = "2"


@row("long-outage", "database away, then S3 refusing the worker's key, for two hours at shortened pauses", full=2, short=2)
def long_outage(scene: Scene) -> None:
    seconds = SECONDS_SHORT if scene.short else SECONDS
    worker = scene.worker(through={"database", "store"}, ASSAY__WORKER__OUTAGE_WAIT_S=OUTAGE_WAIT, ASSAY__BROKER__DELIVERY_LIMIT=DELIVERIES,
                          ASSAY__DATABASE__TIMEOUT_S="2")
    scene.load(20)
    for number in range(scene.trials):
        scene.until_settled(worker, 20)
        if number % 2 == 0:
            scene.world.database.cut(refuse=True)
        else:
            scene.world.store.refusing = True
        scene.until(lambda: not worker.ready(), 30, "the worker says that it can't work")
        time.sleep(seconds)
        scene.claim(worker.alive(), "the worker outlives the outage")
        scene.claim(not worker.ready(), "it says all the time that it can't work")
        scene.world.heal()
        scene.recovers(worker)
        scene.progress(number + 1)
    again = worker.metrics().get("assay_redeliveries_total", 0.0)
    retried = sum(count for name, count in worker.metrics().items() if name.startswith("assay_retries_total"))
    scene.details |= {"redeliveries": again, "retries": retried, "seconds": seconds}
    scene.claim(again == 0, f"no message is delivered a second time; {again:.0f} were")
    scene.claim(retried == 0, f"no attempt is spent; {retried:.0f} were")
