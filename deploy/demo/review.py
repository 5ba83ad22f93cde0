#!/usr/bin/env python3
"""People in the loop, by scripted browsers: what is uncertain is reviewed, then a verdict is appealed and overturned.

In a schema and queues of its own. Ann reviews by keyboard alone; ben and cleo decide on the appeal, each without seeing the other's answer. Their
answers are the truth about the demo's pictures. Chromium is installed from Debian the first time. The exit code is 0 only if every decision of
theirs came out as the next generation's verdict, exactly once.
"""

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

import stage  # It finds what lies under deploy/local.
import assay
import pictures
from stage import BINARY, BUCKET, HERE, ROOT, Step, Trouble, coloured, run, say
from worker import SECONDS_TO_START, Worker

IMAGES = 40
SECONDS = 120.0
SMALL = ROOT / "models" / "small"
PEOPLE = ("ann", "ben", "cleo")
RIGHT = {pictures.PHOTOGRAPH: "real", pictures.GENERATED: "synthetic"}


class Show:
    def __init__(self, images: int):
        self.images = images
        self.name = f"review_{time.strftime('%H%M%S')}_{os.getpid()}"
        self.folder = HERE / self.name
        self.folder.mkdir(parents=True)
        self.environment = stage.settings() | {
            "ASSAY__DATABASE__SCHEMA": self.name,
            "ASSAY__BROKER__PREFIX": self.name,
            "ASSAY__DETECTOR__MODEL": str(SMALL),
            "ASSAY__REVIEW__AUDIT_SHARE": "0.1",
            "ASSAY__REVIEW__DOUBLE_SHARE": "0",
            "ASSAY__REVIEW__UNDO_S": "1",
            "ASSAY__LOG__FORMAT": "human",
        }
        self.truth: dict[str, str] = {}
        self.outcomes: dict[str, list[dict]] = collections.defaultdict(list)
        self.events: list[dict] = []

    def assay(self, *arguments) -> str:
        return run([BINARY, *arguments], f"assay {' '.join(map(str, arguments[:2]))}", env=os.environ | self.environment, cwd=self.folder)

    def open(self) -> None:
        """Outcomes and events are heard from here on."""
        import pika

        self.pika = pika
        self.connection = pika.BlockingConnection(pika.URLParameters(self.environment["ASSAY__BROKER__URL"]))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        queue = self.channel.queue_declare("", exclusive=True).method.queue
        for key in ("verdict.#", "failure.#", "appeal.#"):
            self.channel.queue_bind(queue, f"{self.name}.verdicts", key)
        self.channel.basic_consume(queue, self.heard, auto_ack=True)

    def heard(self, _channel, _method, properties, body) -> None:
        document = json.loads(body)
        if properties.type == "assay.appeal_decided.v1":
            self.events.append(document)
        else:
            known = self.outcomes[document["submission_id"]]
            # What comes again under the same id is the same.
            if all(one["verdict_id"] != document["verdict_id"] for one in known):
                known.append(document)

    def until(self, condition, what: str, check=lambda: None) -> None:
        ends = time.monotonic() + SECONDS
        while not condition():
            self.connection.process_data_events(time_limit=0.1)
            check()
            if time.monotonic() > ends:
                raise Trouble(f"{what}: not after {SECONDS:.0f} s; logs are in {self.folder}")

    def submit(self) -> None:
        found, _ = pictures.gather()
        # As many of both kinds, as far as there are.
        kinds = [[one for one in found if one.what == kind] for kind in RIGHT]
        chosen = [one for pair in zip(*kinds) for one in pair]
        client = stage.bucket_client(self.environment)
        for number in range(self.images):
            one = chosen[number % len(chosen)]
            # What comes again is another upload of the same image.
            key = f"{self.name}/{number // len(chosen)}/{one.name}"
            client.put_object(Bucket=BUCKET, Key=key, Body=one.path.read_bytes())
            self.truth[key] = RIGHT[one.what]
            request = {"submission_id": key, "image": {"bucket": BUCKET, "key": key}, "metadata": {"post": one.name}}
            self.send("images", request)

    def send(self, queue: str, document: dict) -> None:
        properties = self.pika.BasicProperties(content_type="application/json", delivery_mode=2)
        self.channel.basic_publish("", f"{self.name}.{queue}", json.dumps(document).encode(), properties, mandatory=True)

    def latest(self, submission: str) -> dict:
        return max(self.outcomes[submission], key=lambda outcome: outcome["generation"])

    def browse(self, script: dict) -> dict:
        """Runs a script of people in Chromium; what it has seen."""
        path = self.folder / "script.json"
        path.write_text(json.dumps(script))
        done = subprocess.run([sys.executable, ROOT / "crates/console/check/run.py", "--review", path], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Trouble(f"the browser's script failed; its script is {path}\n{done.stdout}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def close(self) -> None:
        """Nothing of the show stays in database and broker."""
        import psycopg

        for queue in json.loads(self.assay("status", "--json")).get("queues", []):
            self.channel.queue_delete(queue["queue"])
        self.channel.exchange_delete(f"{self.name}.verdicts")
        self.connection.close()
        with psycopg.connect(self.environment["ASSAY__DATABASE__URL"], autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{self.name}" CASCADE')


def perform(show: Show) -> int:
    with Step("clients"):
        stage.private_packages()
    with Step("migrations"):
        show.assay("migrate")
    with Worker(show.environment, show.folder / "worker.log") as worker:
        with Step("worker"):
            worker.wait_until_ready(SECONDS_TO_START)
        show.open()
        with Step("verdicts") as step:
            show.submit()
            show.until(lambda: len(show.outcomes) == len(show.truth), "every image is judged", worker.check)
            first = {submission: outcomes[0] for submission, outcomes in show.outcomes.items()}
            decisions = collections.Counter(verdict["decision"] for verdict in first.values())
            step.result = ", ".join(f"{count} {decision}" for decision, count in sorted(decisions.items()))
        consoles = {}
        try:
            with Step("consoles") as step:
                for person in PEOPLE:
                    consoles[person] = assay.Console(BINARY, person, show.environment, show.folder / f"{person}.log")
                for one in consoles.values():
                    one.wait_until_ready(60)
                step.result = ", ".join(f"{person} at {one.url}" for person, one in consoles.items())
            reviewed = review(show, consoles, first)
            appeal(show, consoles, {submission: one for submission, one in first.items() if submission not in reviewed})
            look(show, consoles["ann"], first)
        finally:
            for one in consoles.values():
                one.terminate(20)
    return conclude(show, first)


def review(show: Show, consoles: dict, first: dict[str, dict]) -> set[str]:
    """Ann reviews whatever waits; gives what she has reviewed."""
    uncertain = {submission for submission, verdict in first.items() if verdict["decision"] == "uncertain"}
    with Step("review by keyboard") as step:
        show.until(lambda: waiting(show) >= len(uncertain), "the uncertain ones wait for people")
        seen = show.browse({"act": "review", "base": consoles["ann"].url, "truth": show.truth, "folder": str(show.folder)})
        reviewed = set(seen["reviewed"])
        if missed := uncertain - reviewed:
            raise Trouble(f"{len(missed)} uncertain images were not shown: {sorted(missed)[:3]}")
        step.result = f"{len(reviewed)} images; key to next image {seen['median_ms']:.0f} ms in the median, {seen['p95_ms']:.0f} ms at the 95th of a hundred"
    wrong = {one for one in reviewed if first[one]["decision"] != show.truth[one]}
    with Step("decisions by people") as step:
        show.until(lambda: all(len(show.outcomes[one]) == 2 for one in wrong), "each decision is the next generation's verdict")
        step.result = f"{len(wrong)} verdicts of generation 1, decided_by review"
    return reviewed


def waiting(show: Show) -> int:
    return len(json.loads(show.assay("review", "list", "--json", "--limit", "1000"))["items"])


def appeal(show: Show, consoles: dict, others: dict[str, dict]) -> None:
    """One verdict that the model was sure of is appealed, a wrong one if there is one, and overturned by two people."""
    sure = [one for one, verdict in others.items() if verdict["decision"] != "uncertain"]
    wrong = [one for one in sure if others[one]["decision"] != show.truth[one]]
    chosen = (wrong or sure)[0]
    verdict = others[chosen]
    to = {"real": "synthetic", "synthetic": "real"}[verdict["decision"]]
    with Step("appeal") as step:
        text = f"You call this image {verdict['decision']}. I have made it myself, and can show how."
        show.send("appeals", {"verdict_id": verdict["verdict_id"], "text": text, "tenant": verdict["tenant"], "actor": "help desk"})
        for person in ("ben", "cleo"):
            show.browse({"act": "appeal", "base": consoles[person].url, "submission": chosen, "result": f"overturn_{to}",
                         "reason": "The uploader has shown the original, which agrees.", "folder": str(show.folder), "person": person})
        show.until(lambda: show.events and len(show.outcomes[chosen]) == 2, "the appeal is decided, and the next generation says so")
        step.result = f"{show.events[0]['result']} by {len(show.events[0]['decided_by'])} people: {verdict['decision']} → {show.latest(chosen)['decision']}"
    if show.events[0]["result"] != "overturned" or show.latest(chosen)["decision"] != to:
        raise Trouble(f"the appeal came out as {show.events[0]}")


def look(show: Show, console, first: dict[str, dict]) -> None:
    """Every page, light and dark, by axe-core."""
    judged = first[show.events[0]["submission_id"]]
    asked = urllib.parse.urlencode({"tenant": judged["tenant"], "submission": judged["submission_id"]})
    paths = ["/", "/appeals", "/appeals?state=decided", f"/appeals/{show.events[0]['appeal_id']}", f"/outcomes/{judged['verdict_id']}", f"/history?{asked}",
             "/search", f"/search?{urllib.parse.urlencode({'q': show.name + '*'})}", "/numbers", "/audit", "/tokens", "/help", "/login"]
    with Step("pages by axe-core") as step:
        seen = show.browse({"act": "pages", "base": console.url, "paths": paths})
        if seen["found"]:
            raise Trouble("\n".join(["axe-core, or the width of a page, has something against:", *seen["found"]]))
        step.result = f"{seen['pages']} pages of the real console, light and dark: nothing against them"


def conclude(show: Show, first: dict[str, dict]) -> int:
    changed = [outcomes for outcomes in show.outcomes.values() if len(outcomes) > 1]
    by_people = [outcomes[1] for outcomes in changed if outcomes[1]["decided_by"] == "review"]
    doubled = sum(len(outcomes) > 2 for outcomes in changed) + len(show.events) - 1
    for before, after in [(outcomes[0], outcomes[1]) for outcomes in changed][:6]:
        say(f"  {before['submission_id'].rpartition('/')[2][:40]:<40}  {before['decision']:<9} {before['score']['synthetic']:.3f}  →  {after['decision']:<9} "
            f"by {', '.join(after['review']['reviewers'])} ({', '.join(after['review']['grounds'])})")
    say(show.assay("review", "numbers").rstrip())
    wrong = sum(show.latest(one)["decision"] != show.truth[one] for one in first if len(show.outcomes[one]) > 1 and not show.events[0]["submission_id"] == one)
    say(f"reviews: verdicts={len(first)} by_people={len(by_people)} appeals={len(show.events)} doubled={doubled} wrong={wrong}")
    return 0 if len(by_people) == len(changed) and doubled == wrong == 0 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help="how many are uploaded, some of them several times (default: %(default)s)")
    images = parser.parse_args().images
    if images < 8:
        parser.error("--images: with fewer than 8 there may be nothing to review and nothing to appeal")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    show = Show(images)
    try:
        with stage.only_one():
            say(coloured("Assay: people in the loop", "bold"))
            code = perform(show)
            show.close()
            return code
    except Trouble as error:
        say(coloured(f"demo-review: {error}", "red"))
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
