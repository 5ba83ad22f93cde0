"""What live uploads notice of a campaign that judges again: how long they wait in their queue, and until their verdict."""

import json
import os
import random
import subprocess
import threading
import time

import pictures
from contestants import Trouble
from edges import IMAGES, ROOT, VERDICTS, BUCKET, Edges, Worker
from report import Report, Row, Spread, ratio

# Of what the worker can do alone: live uploads are few, and the campaign has the rest.
LIVE_SHARE = 0.3
# What the campaigns judge again, under names that no earlier run has used.
OLD = f"old/{time.time():.0f}"
# As if another model had judged it.
OLDER = ("UPDATE assay.verdicts SET model_version = 'older', model_sha256 = sha256('older') WHERE submission_id LIKE %s "
         "AND model_version <> 'older'")
SETTINGS = {"ASSAY__DETECTOR__MODEL": str(ROOT / "models" / "small"), "ASSAY__WORKER__REUSE": "false"}


class Listener(threading.Thread):
    """Hears every outcome, on a connection of its own."""

    def __init__(self, edges: Edges):
        super().__init__(daemon=True)
        self.connection = edges.pika.BlockingConnection(edges.pika.URLParameters(edges.environment["ASSAY__BROKER__URL"]))
        channel = self.connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, VERDICTS, "#")
        channel.basic_consume(queue, self._take, auto_ack=True)
        self.channel = channel
        # Submission → when its verdict came, and the milliseconds that it says to have waited in its queue.
        self.heard: dict[str, tuple[float, int]] = {}
        self.again = 0

    def run(self) -> None:
        self.channel.start_consuming()

    def _take(self, _channel, method, _properties, body) -> None:
        outcome = json.loads(body)
        if outcome.get("purpose") == "reverdict":
            self.again += 1
        elif "decision" in outcome:
            self.heard[outcome["submission_id"]] = (time.time(), outcome["timing_ms"]["queue"])

    def settle(self) -> None:
        """Waits until nothing is judged again any more."""
        before = -1
        while self.again != before:
            before = self.again
            time.sleep(1.0)

    def wait(self, name: str, count: int, seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while sum(one.startswith(name) for one in list(self.heard)) < count:
            if time.monotonic() > deadline:
                raise Trouble(f"{count} verdicts of {name} did not come within {seconds:.0f} s")
            time.sleep(0.05)


def campaign(stage, report: Report) -> None:
    uploads, _ = stage.uploads()
    rounds, seconds = (2, 8.0) if stage.quick else (stage.rounds, 25.0)
    before = {"queue": [], "verdict": []}
    during = {"queue": [], "verdict": []}
    shares = []
    with Edges(stage.folder, stage.base_port) as edges:
        edges.run([stage.assay, "migrate"])
        keys = [f"bench/campaign/{time.time():.0f}/{index}.jpg" for index in range(256)]
        edges.put({key: pictures.with_note(uploads[index % len(uploads)], key) for index, key in enumerate(keys)})
        with Worker(stage.assay, edges, stage.logs / "campaign.log", **SETTINGS) as worker:
            worker.wait_until_ready()
            edges.purge()
            listener = Listener(edges)
            listener.start()
            capacity = old_verdicts(stage, edges, listener, keys, rounds, seconds)
            for number in range(rounds):
                for figures, running in ((before, False), (during, True)):
                    command = run_campaign(stage, edges, listener) if running else None
                    judged_again = listener.again
                    name = f"live/{time.time():.0f}-{number}-{running}"
                    waits, times = live(edges, listener, keys, name, LIVE_SHARE * capacity, seconds)
                    figures["queue"].append(quantile(waits, 0.95)), figures["verdict"].append(quantile(times, 0.95))
                    if command:
                        shares.append((listener.again - judged_again) / seconds / capacity)
                        command.terminate(), command.wait()
                        edges.channel.queue_purge(f"{IMAGES}.bulk")
                        edges.run([stage.assay, "reverdict", "end", newest(stage, edges)])
                        listener.settle()
                    worker.check()
                stage.say(f"campaign, round {number + 1} of {rounds}: live uploads' p95 in the queue {before['queue'][-1]:.1f} ms without, "
                          f"{during['queue'][-1]:.1f} ms with; to the verdict {before['verdict'][-1]:.0f} and {during['verdict'][-1]:.0f} ms; "
                          f"the campaign had {shares[-1]:.0%} of the device's rate")
    shown = {how: (f"{Spread(figures['queue']).median:.1f} ms", f"{Spread(figures['verdict']).median:.0f} ms")
             for how, figures in (("with", during), ("without", before))}
    report.rows.append(Row("campaign.live_queue_p95", "live uploads' p95 in the queue, with a campaign vs without", ratio(during["queue"], before["queue"]),
                           1.1, shown["with"][0], shown["without"][0], most=True))
    report.rows.append(Row("campaign.live_verdict_p95", "live uploads' p95 to the verdict, with a campaign vs without",
                           ratio(during["verdict"], before["verdict"]), None, shown["with"][1], shown["without"][1], most=True))
    report.notes.append(f"campaign: {LIVE_SHARE:.0%} of what the worker can do are live uploads, and the campaign has {Spread(shares).median:.0%}")
    report.raw["campaign"] = {"before": before, "during": during, "shares": shares, "capacity": capacity, "settings": SETTINGS}


def old_verdicts(stage, edges: Edges, listener: Listener, keys: list[str], rounds: int, seconds: float) -> float:
    """As many verdicts as the campaigns can take, of an older model; gives how many a second the worker makes when it has nothing else to do."""
    edges.publish(IMAGES, keys, f"{OLD}/warm", 64)
    listener.wait(f"{OLD}/warm", 64)
    began = time.monotonic()
    edges.publish(IMAGES, keys, f"{OLD}/paced", 128)
    listener.wait(f"{OLD}/paced", 128)
    capacity = 128 / (time.monotonic() - began)
    count = round(capacity * seconds * 1.5)
    edges.publish(IMAGES, keys, f"{OLD}/rest", count)
    listener.wait(f"{OLD}/rest", count, seconds * rounds * 10)
    stage.say(f"campaign: the worker does {capacity:.1f} images a second alone")
    return capacity


def run_campaign(stage, edges: Edges, listener: Listener) -> subprocess.Popen:
    """A campaign that is under way."""
    import psycopg

    with psycopg.connect(edges.environment["ASSAY__DATABASE__URL"], autocommit=True) as database:
        database.execute(OLDER, [f"{OLD}%"])
    log = (stage.logs / "reverdict.log").open("a")
    command = subprocess.Popen([stage.assay, "reverdict", "run", "--reason", "bench"], env=os.environ | edges.environment, stdout=log, stderr=log)
    judged, deadline = listener.again, time.monotonic() + 60
    while listener.again < judged + 16:
        if command.poll() is not None or time.monotonic() > deadline:
            raise Trouble(f"the campaign does not run: see {log.name}")
        time.sleep(0.05)
    return command


def newest(stage, edges: Edges) -> str:
    done = subprocess.run([stage.assay, "reverdict", "show", "--json"], env=os.environ | edges.environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]["campaign_id"]


def live(edges: Edges, listener: Listener, keys: list[str], name: str, rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Uploads as people make them, at random moments; gives the milliseconds that each waited in the queue, and until its verdict came."""
    moments, sent = random.Random(7), {}
    next_at, end, number = time.time(), time.time() + seconds, 0
    while next_at < end:
        time.sleep(max(0.0, next_at - time.time()))
        submission = f"{name}/{number}"
        body = {"submission_id": submission, "image": {"bucket": BUCKET, "key": keys[number % len(keys)]}}
        sent[submission] = time.time()
        properties = edges.pika.BasicProperties(delivery_mode=2, headers={"timestamp_in_ms": round(sent[submission] * 1e3)})
        edges.channel.basic_publish("", IMAGES, json.dumps(body), properties)
        next_at += moments.expovariate(rate)
        number += 1
    listener.wait(name, number)
    heard = {submission: listener.heard[submission] for submission in sent}
    return [float(wait) for _, wait in heard.values()], [1e3 * (at - sent[submission]) for submission, (at, _) in heard.items()]


def quantile(values: list[float], share: float) -> float:
    """At least half a millisecond, which is all that whole milliseconds can say."""
    return max(0.5, sorted(values)[min(len(values) - 1, int(share * len(values)))])


SECTIONS = {"campaign": campaign}
