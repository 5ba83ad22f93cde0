"""The processes between a person's vote and what follows from it are killed: one label, one verdict of the next generation."""

import dataclasses
import time

from assay import Console
from checker import REVIEWED, VERDICT
from scene import RECOVERY, Scene

from . import row
from .beside import ended, query, told

SETTINGS = {
    # Every verdict is an item that one vote decides, a second after it.
    "ASSAY__REVIEW__AUDIT_SHARE": "1", "ASSAY__REVIEW__DOUBLE_SHARE": "0", "ASSAY__REVIEW__GOLDEN_SHARE": "0", "ASSAY__REVIEW__UNDO_S": "1",
}


@row("review-kill", "kill -9 of console and worker between vote and label", full=40, short=3)
def review(scene: Scene) -> None:
    scene.settings |= SETTINGS
    worker, open_console = scene.worker(), console(scene)
    scene.load(20)
    scene.until_settled(worker, 10 * scene.trials if scene.short else 200, seconds=60)
    voted = []
    for number in range(scene.trials):
        waiting: list[dict] = []
        if not scene.until(lambda: waiting.extend(items(scene)) or waiting, 30, "a verdict waits for a person"):
            return
        item = scene.rng.choice(waiting)
        voted.append(item["submission_id"])
        ((decision,),) = query(scene, f"SELECT decision FROM {scene.schema}.verdicts WHERE submission_id = '{voted[-1]}'")
        answer = "synthetic" if decision == "real" else "real"
        code, said = ended(scene, ["review", "label", item["id"], answer, "--ground", "known-source"])
        scene.claim(code == 0, f"the vote is taken: {said}")
        with scene.lock:
            scene.submissions[voted[-1]] = dataclasses.replace(scene.submissions[voted[-1]], due=frozenset({REVIEWED}))
        # It counts after a second, within another one; then the decision goes to a worker.
        time.sleep(scene.rng.uniform(0, 2.5))
        if scene.rng.random() < 0.6:
            open_console.kill()
            open_console = console(scene)
        else:
            worker.kill()
            worker = scene.worker(ready=False)
        scene.progress(number + 1)
    scene.recovers(worker)
    decided = f"SELECT count(*) FROM {scene.schema}.outcomes WHERE generation = 1"
    scene.until(lambda: query(scene, decided)[0][0] >= len(voted), 60, "each decision becomes a verdict")
    labels = query(scene, f"SELECT count(*), count(DISTINCT verdict_id) FROM {scene.schema}.labels")
    scene.claim(labels == [(len(voted), len(voted))], f"{len(voted)} votes make as many labels, one each; not {labels}")
    marks = query(scene, f"SELECT count(*) FROM {scene.schema}.review_marks WHERE mark = 'counted'")
    scene.claim(marks == [(len(voted),)], f"each vote counts once; {marks} do")
    unsent = f"SELECT count(*) FROM {scene.schema}.review_outbox WHERE sent_at IS NULL"
    scene.until(lambda: query(scene, unsent) == [(0,)], 30, "nothing waits to be sent")
    code = open_console.terminate(RECOVERY)
    scene.claim(code == 0, f"an orderly stop of the console ends with exit code 0, not {code}")


def console(scene: Scene) -> Console:
    opened = Console(scene.world.binary, "ann", scene.world.environment | scene.settings, scene.log.with_suffix(".console.log"), append=True)
    scene.closing.callback(opened.kill)
    opened.wait_until_ready(RECOVERY)
    return opened


def items(scene: Scene) -> list[dict]:
    """What waits, of submissions that have one end whatever else is sent."""
    found = told(scene, ["review", "list", "--json", "--limit", "200"]).get("items", [])
    with scene.lock:
        known = {one.id for one in scene.submissions.values() if one.due == {VERDICT}}
    return [item for item in found if item["submission_id"] in known]
