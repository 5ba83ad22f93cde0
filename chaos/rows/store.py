"""The S3 server answers wrongly, late, in part or not at all."""

import collections
import dataclasses

from checker import VERDICT
from scene import DELAYS, Scene
from store_faults import WAYS, WRONG_ETAG
from submissions import Message

from . import row

TRIES = 3
# Of one fetch, so that a hanging server costs seconds.
SECONDS, SECONDS_SHORT = 3, 2
ALWAYS = 1_000_000
MISMATCH, UNAVAILABLE = "content_mismatch", "object_store_unavailable"


@row("store-faults", "S3: 500, 503, slow, hanging, cut short, wrong etag, other bytes", full=240, short=24)
def faults(scene: Scene) -> None:
    store = scene.world.store
    scene.worker(through={"store"}, ASSAY__OBJECTS__TIMEOUT_S=str(SECONDS_SHORT if scene.short else SECONDS), ASSAY__OBJECTS__TRIES=str(TRIES),
                          ASSAY__WORKER__INTAKE_SLOTS="64")
    scene.load(30)
    cases = [spoiled(scene, number) for number in range(scene.trials)]
    store.requests.clear()
    scene.send([message for message, _, _ in cases])
    scene.rest()
    scene.wait_until_done()
    asked = collections.defaultdict(int)
    for _, way, key in cases:
        asked[way] = max(asked[way], store.requests[key])
    scene.details["requests_for_one_object_at_most"] = dict(asked)
    most = TRIES * (len(DELAYS) + 1)
    scene.claim(max(asked.values()) <= most, f"an object is asked for at most {most} times, not {max(asked.values())}")
    scene.progress(scene.trials)


def spoiled(scene: Scene, number: int) -> tuple[Message, str, str]:
    """A submission of an object of its own, what happens to it, and its key."""
    rng, way = scene.rng, [*WAYS, "other bytes"][number % (len(WAYS) + 1)]
    stored = dataclasses.replace(rng.choice(scene.world.good), key=f"chaos/store/{scene.name}-{number}.img")
    [stored] = scene.world.put([stored])
    told, due, checked = stored, VERDICT, number % 2 == 0
    if way == "other bytes":
        other = rng.choice([one for one in scene.world.good if one.body != stored.body])
        told, due, checked = dataclasses.replace(other, key=stored.key, etag=""), MISMATCH, True
    elif way == WRONG_ETAG:
        scene.world.store.spoil(stored.key, way, ALWAYS)
        due = MISMATCH if checked else VERDICT
    else:
        # Half of them succeed in time: fewer faults than tries.
        lasting = rng.random() < 0.5
        scene.world.store.spoil(stored.key, way, ALWAYS if lasting else rng.randint(1, TRIES - 1))
        due = UNAVAILABLE if lasting else VERDICT
    return scene.composer.native(f"{scene.name}/spoiled-{number}", told, due=frozenset({due}), checked=checked), way, stored.key
