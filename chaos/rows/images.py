"""Pictures that spoil what they are judged with: only they may suffer."""

import json
import os
import signal
import time

import pictures
from checker import VERDICT
from process import family, running
from scene import Scene
from world import wait

from . import NotRun, row

BURST, MUTANTS = 64, 16


@row("poison-image", "damaged images within full batches", full=40, short=2)
def poison(scene: Scene) -> None:
    scene.worker(ASSAY__WORKER__BATCH_SIZE="16", ASSAY__WORKER__BATCH_MAX_DELAY_MS="50")
    for number in range(scene.trials):
        # Bytes of their own, since what was judged before is not scored again.
        fresh = scene.world.put(pictures.good(scene.rng, f"chaos/fresh/{number}", BURST))
        good = [scene.composer.native(f"{scene.name}/{number}-{place}", one) for place, one in enumerate(fresh)]
        bad = scene.composer.native(f"{scene.name}/{number}-poison", scene.rng.choice(scene.world.bad))
        mutants = scene.world.put([pictures.mutated(scene.rng, scene.rng.choice(scene.world.good), f"chaos/mutants/{number}-{place}")
                                   for place in range(MUTANTS)])
        messages = [*good, bad, *(scene.composer.native(f"{scene.name}/{number}-mutant-{place}", one, due=pictures.ENDS_OF_MUTANTS)
                                  for place, one in enumerate(mutants))]
        scene.rng.shuffle(messages)
        scene.send(messages)
        scene.progress(number + 1)
    scene.wait_until_done()
    sizes = [json.loads(one.document)["batch_size"] for one in scene.reader.rows() if one.kind == VERDICT]
    scene.details["largest_batch"] = max(sizes, default=0)
    scene.claim(max(sizes, default=0) >= 8, f"the batches are full; the largest was {max(sizes, default=0)}")


@row("decoder-killed", "the process that decodes is killed at its work", full=100, short=4)
def decoder_killed(scene: Scene) -> None:
    worker = scene.worker()
    scene.composer.also = frozenset({"decode_failed"})
    scene.load()
    scene.until_settled(worker, 10)
    if not wait(lambda: decoders(scene, worker.pid), 1):
        raise NotRun(f"the worker has no child processes {scene.world.decoder.name}")
    for number in range(scene.trials):
        time.sleep(scene.rng.uniform(0.05, 0.3))
        found = wait(lambda: decoders(scene, worker.pid), 5)
        if scene.claim(found, "a decoder that died is replaced"):
            os.kill(scene.rng.choice(found), signal.SIGKILL)
        scene.progress(number + 1)
    scene.recovers(worker)
    scene.rest()
    scene.wait_until_done()
    failed = [row for row in scene.reader.rows() if row.kind == "decode_failed" and VERDICT in scene.submissions[row.id].due]
    scene.details["good_images_failed"] = len(failed)
    scene.claim(len(failed) <= scene.trials, f"at most one image fails for each decoder killed, not {len(failed)}")
    scene.claim(worker.alive(), "the worker outlives its decoders")


def decoders(scene: Scene, pid: int) -> list[int]:
    """The processes that decode for a worker."""
    return sorted(set(family(pid)) & set(running(scene.world.decoder)))
