#!/usr/bin/env python3
"""The retrain job on real servers: labels in, a better model out, a spoiled one refused, a worker that changes over, and a campaign
that judges again what the first model judged.

Wants the servers up and the binary built (`make demo-retrain` sees to both). It works in a schema, queues and a folder of its
own, which it deletes at the end. The exit code is 0 only if everything happened that is announced.
"""

import json
import os
import shutil
import signal
import sys
import time

import stage
import textures
from stage import BINARY, BUCKET, HERE, Step, Trouble, coloured, run, say
from worker import SECONDS_TO_START, Worker

ARCHITECTURE = "resnet18-nodown-16"
IMAGES, MORE, UPLOADS = 120, 8, 24
RECIPE = stage.ROOT / "deploy" / "demo" / "textures.toml"
SECONDS_FOR_A_VERDICT = 60.0


class Show:
    def __init__(self):
        self.name = f"retrain_{time.strftime('%H%M%S')}_{os.getpid()}"
        self.folder = HERE / self.name
        self.folder.mkdir(parents=True)
        self.environment = stage.settings() | {
            "ASSAY__DATABASE__SCHEMA": self.name,
            "ASSAY__BROKER__PREFIX": self.name,
            "ASSAY__DETECTOR__MODEL": "registry",
            "ASSAY__REGISTRY__STORE": str(self.folder / "models"),
            "ASSAY__REGISTRY__POLL_S": "1",
            "ASSAY__RETRAIN__FOLDER": str(self.folder / "retrain"),
            "ASSAY__RETRAIN__RECIPE": str(RECIPE),
            "ASSAY__RETRAIN__MIN_IMAGES": "20",
            "ASSAY__RETRAIN__HELD_OUT": "0.35",
            "ASSAY__RETRAIN__MAX_ECE": "0.2",
        }
        self.submitted = 0

    def assay(self, *arguments) -> str:
        command = [BINARY, *arguments]
        return run(command, f"assay {arguments[0]} {arguments[1] if len(arguments) > 1 else ''}".strip(),
                   env=os.environ | self.environment, cwd=self.folder)

    def label(self, numbers: range) -> str:
        annotations = textures.write(self.folder, numbers, f"labels-{numbers.start}.txt")
        client = stage.bucket_client(self.environment)
        for number in numbers:
            client.put_object(Bucket=BUCKET, Key=f"{self.name}/{number}.png", Body=(self.folder / f"{number}.png").read_bytes())
        return self.assay("labels", "import", "--annotations", annotations, "--root", f"s3://{BUCKET}/{self.name}")

    def judge(self, number: int) -> dict:
        """The verdict on an image, by whatever model serves now."""
        import psycopg

        self.submitted += 1
        submission = f"{self.name}-{self.submitted}"
        request = {"submission_id": submission, "image": {"bucket": BUCKET, "key": f"{self.name}/{number}.png"}, "purpose": "reverdict"}
        manifest = self.folder / "request.jsonl"
        manifest.write_text(json.dumps(request) + "\n")
        self.assay("enqueue", "--manifest", manifest)
        until = time.monotonic() + SECONDS_FOR_A_VERDICT
        with psycopg.connect(self.environment["ASSAY__DATABASE__URL"], autocommit=True) as database:
            query = f"SELECT {self.name}.document(v) FROM {self.name}.verdicts AS v WHERE submission_id = %s"
            while time.monotonic() < until:
                if row := database.execute(query, [submission]).fetchone():
                    return row[0]
                time.sleep(0.1)
        raise Trouble(f"no verdict on {submission} within {SECONDS_FOR_A_VERDICT:.0f} s")

    def upload(self, numbers: range) -> None:
        """Submits images, and waits until each has a verdict."""
        import psycopg

        manifest = self.folder / "uploads.jsonl"
        lines = [{"submission_id": f"{self.name}-upload-{number}", "image": {"bucket": BUCKET, "key": f"{self.name}/{number}.png"}}
                 for number in numbers]
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.assay("enqueue", "--manifest", manifest)
        until = time.monotonic() + SECONDS_FOR_A_VERDICT
        with psycopg.connect(self.environment["ASSAY__DATABASE__URL"], autocommit=True) as database:
            query = f"SELECT count(*) FROM {self.name}.verdicts WHERE submission_id LIKE '{self.name}-upload-%'"
            while database.execute(query).fetchone()[0] < len(numbers):
                expect(time.monotonic() < until, f"{len(numbers)} uploads have no verdicts within {SECONDS_FOR_A_VERDICT:.0f} s")
                time.sleep(0.1)

    def judge_again(self, first: str) -> None:
        """A campaign over what the first model has judged."""
        with Step("reverdict plan"):
            plan = self.assay("reverdict", "plan", "--model", first)
        for line in plan.strip().splitlines():
            say(f"      {line}")
        with Step("reverdict run") as step:
            *table, step.result = self.assay("reverdict", "run", "--model", first, "--reason", "the first model was untrained").strip().splitlines()
        for line in table:
            say(f"      {line}")
        expect("finished" in step.result, "the campaign did not end")

    def row(self, number: int) -> str:
        """Judges one image, says what came of it, and gives the version of the model."""
        verdict = self.judge(number)
        generator = (verdict["generator"] or {}).get("label", "")
        trained = "" if verdict["model"]["trained"] else coloured("  untrained: it means nothing", "yellow")
        say(f"      {number}.png is by {textures.maker(number):<9} → {verdict['decision']:<10} {verdict['score']['synthetic']:.2f}"
            f" {generator:<17} model {verdict['model']['version']}{trained}")
        return verdict["model"]["version"]

    def retrain(self, *arguments) -> dict:
        text = self.assay("retrain", "--json", *arguments)
        return json.loads(text) if text.startswith("{") else {"outcome": text.strip(), "words": text.strip(), "gate": {"reasons": []}}

    def keep_page(self, report: dict, name: str) -> None:
        """The folder is deleted at the end; the page is worth a look."""
        page = HERE / f"retrain-{name}.html"
        shutil.copyfile(self.folder / report["folder"] / "report.html", page)
        say(f"      page: {page}")

    def close(self) -> None:
        import pika
        import psycopg

        # Before the tables go: it reads the workers' reports.
        queues = [queue["queue"] for queue in json.loads(self.assay("status", "--json"))["queues"]]
        with psycopg.connect(self.environment["ASSAY__DATABASE__URL"], autocommit=True) as database:
            database.execute(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")
        connection = pika.BlockingConnection(pika.URLParameters(self.environment["ASSAY__BROKER__URL"]))
        channel = connection.channel()
        for queue in queues:
            channel.queue_delete(queue)
        channel.exchange_delete(f"{self.name}.verdicts")
        connection.close()
        client = stage.bucket_client(self.environment)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.name}/"):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=BUCKET, Key=entry["Key"])
        shutil.rmtree(self.folder, ignore_errors=True)


def reasons(report: dict) -> None:
    for reason in report["gate"]["reasons"]:
        mark = {True: coloured("✔", "green"), False: coloured("✘", "red"), None: "–"}[reason["holds"]]
        say(f"      {mark} {reason['words']}")


def expect(held: bool, what: str) -> None:
    if not held:
        raise Trouble(what)


def perform(show: Show) -> None:
    with Step("migrations"):
        show.assay("migrate")
    with Step("first model") as step:
        show.assay("model", "init", "--arch", ARCHITECTURE, "--out", "first")
        show.assay("model", "register", "first")
        first = json.loads((show.folder / "first" / "manifest.json").read_text())["version"]
        show.assay("model", "promote", first)
        step.result = f"{ARCHITECTURE}, version {first}, untrained"
    with Step("labels") as step:
        step.result = show.label(range(IMAGES)).strip().splitlines()[-1]
    with Worker(show.environment, show.folder / "worker.log") as worker:
        with Step("worker"):
            worker.wait_until_ready(SECONDS_TO_START)
        expect(show.row(1) == first, "the worker does not serve the active model")
        with Step("uploads") as step:
            show.upload(range(UPLOADS))
            step.result = f"{UPLOADS} judged by the untrained model"
        with Step("retrain") as step:
            report = show.retrain()
            step.result = report["words"]
        reasons(report)
        expect(report["outcome"] == "promoted", "the better candidate was not promoted")
        show.keep_page(report, "promoted")
        second = report["candidate"]
        until = time.monotonic() + SECONDS_FOR_A_VERDICT
        while show.row(1) != second:
            expect(time.monotonic() < until, f"the worker still serves {first}, {SECONDS_FOR_A_VERDICT:.0f} s after the promotion")
            time.sleep(1)
        for number in (0, 3):
            show.row(number)
        show.judge_again(first)
        with Step("more labels") as step:
            step.result = show.label(range(IMAGES, IMAGES + MORE)).strip().splitlines()[-1]
        spoiled = show.folder / "spoiled.toml"
        spoiled.write_text(RECIPE.read_text().replace("rate = 2e-3", "rate = 0.0"))
        with Step("spoiled retrain") as step:
            report = show.retrain("--recipe", spoiled)
            step.result = report["words"]
        reasons(report)
        expect(report["outcome"] == "refused", "the spoiled candidate was not refused")
        show.keep_page(report, "refused")
        expect(show.row(2) == second, "a refused candidate serves")
    expect(worker.process.returncode == 0, f"the worker ended with exit code {worker.process.returncode}")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    say(coloured("Assay: learning from labels", "bold"))
    try:
        if not BINARY.exists():
            raise Trouble(f"{BINARY} isn't there; build it first: make build")
        with stage.only_one():
            with Step("clients"):
                stage.private_packages()
            show = Show()
            try:
                perform(show)
            finally:
                show.close()
    except Trouble as error:
        say(coloured(f"demo: {error}", "red"))
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    say(coloured("a better model was promoted and has judged again what the first one had; a spoiled one was refused; the worker changed over without a stop", "green"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
