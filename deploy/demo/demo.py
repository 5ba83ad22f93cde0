#!/usr/bin/env python3
"""The main job on real servers: real photographs and generated faces in, one outcome for each of them out.

Wants the servers up and the binary built (`make demo` sees to both). Pictures and clients are downloaded the first
time into .local/demo. The exit code is 0 only if every submission has exactly one outcome. At the end a console is left running, on which the
uncertain ones can be looked at: the last line is its address.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import signal
import sys
import time

import console
import pictures
import stage
from stage import BINARY, BUCKET, HERE, Step, Trouble, coloured, run, say
from submissions import NATIVE, Submission, compose, events, manifest
from table import Table
from worker import SECONDS_TO_START, Worker

MOST_COMPLAINTS = 5
ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ROOT / "models" / "small"
ARCHITECTURES = ["resnet50-nodown", "resnet18-nodown"]


def untrained(architecture: str) -> pathlib.Path:
    """The folder of such a model, made the first time."""
    model = HERE / "model" / architecture
    if not (model / "manifest.json").exists():
        run([BINARY, "model", "init", "--arch", architecture, "--out", model], "assay model init")
    return model


def prepare(architecture: str | None) -> tuple[list[pictures.Picture], dict[str, str]]:
    """Everything that must be there before the first submission."""
    if not BINARY.exists():
        raise Trouble(f"{BINARY} isn't there; build it first: make build")
    environment = stage.settings()
    with Step("clients") as step:
        stage.private_packages()
        step.result = ", ".join(stage.PACKAGES)
    with Step("pictures") as step:
        found, missing = pictures.gather()
        kinds = [one.what for one in found]
        step.result = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    for line in missing:
        say(coloured(f"    {line}", "yellow"))
    with Step("migrations"):
        run([BINARY, "migrate"], "assay migrate", env=os.environ | environment)
    with Step("model") as step:
        if architecture is None:
            model = SMALL
            step.result = f"{SMALL.relative_to(ROOT)}, trained on 4,400 images: what it can and can't do is in models/README.md"
        else:
            model = untrained(architecture)
            step.result = f"{architecture}, " + coloured("untrained: its decisions mean nothing, and each verdict says so", "yellow")
    environment["ASSAY__DETECTOR__MODEL"] = str(model)
    return found, environment


def upload(submissions: list[Submission], environment: dict[str, str]) -> None:
    import botocore.exceptions

    with Step("upload") as step:
        client = stage.bucket_client(environment)

        def put(one: Submission) -> int:
            one.etag = client.put_object(Bucket=BUCKET, Key=one.key, Body=one.body)["ETag"].strip('"')
            return len(one.body)

        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                sizes = list(pool.map(put, [one for one in submissions if one.body is not None]))
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise Trouble(f"the bucket {BUCKET} doesn't take the pictures: {error}") from None
        step.result = f"{len(sizes)} objects, {sum(sizes) / 1e6:.0f} MB, to s3://{BUCKET}/{submissions[0].key.split('/')[0]}/"


def enqueue(submissions: list[Submission], observer, environment: dict[str, str]) -> None:
    """A third through `assay enqueue`, the others as S3 and CloudEvents would send them."""
    with Step("enqueue") as step:
        path = HERE / "manifest.jsonl"
        manifest(submissions, path)
        run([BINARY, "enqueue", "--manifest", path], "assay enqueue", env=os.environ | environment)
        messages = events(submissions)
        for message in messages:
            observer.publish(message)
        observer.publish_oddities()
        native = sum(one.form == NATIVE for one in submissions)
        step.result = f"{native} by `assay enqueue`, {len(messages)} messages with events, 1 sent before, 1 unreadable"


def perform(architecture: str | None) -> int:
    say(coloured("Assay: real or synthetic?", "bold"))
    found, environment = prepare(architecture)
    from observer import Observer

    name = f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    submissions = compose(name, found)
    upload(submissions, environment)
    with Worker(environment, HERE / "worker.log") as worker:
        with Step("worker") as step:
            worker.wait_until_ready(SECONDS_TO_START)
            step.result = f"pid {worker.process.pid}, http://{worker.admin}/metrics, log in {os.path.relpath(worker.log)}"
        observer = Observer(environment["ASSAY__BROKER__URL"], submissions)
        began = time.monotonic()
        enqueue(submissions, observer, environment)
        table = Table(len(submissions))
        observer.watch(table)
        observer.wait(table, worker.check)
        took = time.monotonic() - began
        table.end()
    code = conclude(observer, environment["ASSAY__DATABASE__URL"], name, worker.process.returncode, took)
    uncertain = sum(decision == "uncertain" for decision in observer.decisions.values())
    url = console.leave_running(environment)
    say(coloured(f"{uncertain} images are uncertain and wait for a person: {url}", "bold"))
    return code


def conclude(observer, database: str, name: str, code: int, took: float) -> int:
    """What came of it."""
    left = observer.left_on_queue()
    observer.close()
    tally = observer.tally(database, f"{name}/")
    judged = tally.verdicts + tally.failures
    say(f"  {judged} outcomes in {took:.1f} s ({judged / took:.1f} a second); again from the results queue: "
        f"source {os.path.relpath(stage.LOCAL / 'env')} && {os.path.relpath(BINARY)} results --json")
    complaints = tally.unlike[:MOST_COMPLAINTS]
    if len(tally.unlike) > MOST_COMPLAINTS:
        complaints.append(f"and {len(tally.unlike) - MOST_COMPLAINTS} more like that")
    if code != 0:
        complaints.append(f"the worker was asked to stop and ended with exit code {code}")
    if left:
        complaints.append(f"{left} messages are still on the queue")
    for complaint in complaints:
        say(coloured(f"  ✘ {complaint}", "red"))
    for line in truth(observer):
        say(line)
    say(str(tally))
    return 0 if tally.good() and not complaints else 1


def truth(observer) -> list[str]:
    """How often the model was right about each kind of picture; it has learnt from none of them."""
    rights = {pictures.PHOTOGRAPH: "real", pictures.GENERATED: "synthetic"}
    lines = []
    for what, right in rights.items():
        keys = [key for key, one in observer.submissions.items() if one.what == what]
        decisions = collections.Counter(observer.decisions[key] for key in keys if key in observer.decisions)
        count = sum(decisions.values())
        if count:
            wrong = count - decisions[right] - decisions["uncertain"]
            lines.append(f"  {count} {what}s: {decisions[right]} right, {wrong} wrong, {decisions['uncertain']} uncertain")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHITECTURES, help="an untrained network of this size instead of models/small")
    architecture = parser.parse_args().arch
    # Whoever ends us gets the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with stage.only_one():
            return perform(architecture)
    except Trouble as error:
        say(coloured(f"demo: {error}", "red"))
        return 1
    except KeyboardInterrupt:
        say("stopped, and the worker too; what it had not judged waits on the queue for the next one")
        return 130


if __name__ == "__main__":
    sys.exit(main())
