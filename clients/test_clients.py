"""The clients against a real broker and a real worker (whose detector is a stand-in), and the documents' examples against
their schemas. Servers of its own in .local/clients; `make clients-check` runs it."""

import json
import os
import pathlib
import shlex
import shutil
import struct
import subprocess
import sys
import time
import unittest
import urllib.parse
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / ".local" / "clients"
BINARY = pathlib.Path(os.environ.get("ASSAY_BINARY", ROOT / "target" / "release" / "assay"))
BASE_PORT = int(os.environ.get("ASSAY_CLIENTS_BASE_PORT", "22660"))
SCHEMAS = ["jsonschema==4.26.0", "rfc3339-validator==0.1.4"]
# Within this everything happens, however busy the machine is.
DEADLINE = 120.0
IMAGES = 12
LANGUAGES = ["python", "typescript"]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import clients  # noqa: E402
import packages  # noqa: E402
import servers  # noqa: E402
from assay import Worker  # noqa: E402

FOLDER.mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(clients.install(FOLDER, [*clients.PACKAGES, *SCHEMAS])))

import jsonschema  # noqa: E402
import pika  # noqa: E402
import pika.exceptions  # noqa: E402


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def wait(condition, what: str):
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE:.0f} s: {what}")
        time.sleep(0.1)
    return value


def bitmap(shade: int) -> bytes:
    """A grey BMP of 32×32 pixels."""
    pixels = bytes([shade]) * (32 * 32 * 3)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, 24, 0, len(pixels), 0, 0, 0, 0) + pixels


def node() -> None:
    """Node and npm, installed where they are missing."""
    if packages.missing_for_node():
        with servers.one_at_a_time(servers.DEFAULT_DIR / "packages.lock"):
            packages.install(packages.missing_for_node())


def typescript() -> pathlib.Path:
    """The compiled TypeScript client, in a copy as somebody would make who takes it from here."""
    node()
    copy = FOLDER / "typescript"
    shutil.copytree(HERE / "typescript", copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "dist"))
    clients.npm_ci(copy)
    clients.run(["node", copy / "node_modules" / "typescript" / "bin" / "tsc", "--project", copy], "tsc")
    return copy / "dist"


class Examples(unittest.TestCase):
    def test_each_example_is_valid_by_its_schema(self):
        seen = set()
        for path in sorted((ROOT / "docs" / "examples").glob("*.json")):
            name = path.stem.partition("-")[0]
            document = json.loads(path.read_text())
            if name == "cloudevent":
                name, document = "request", document["data"]
            if name == "event":
                continue
            seen.add(name)
            with self.subTest(path.name):
                validator(name).validate(document)
        schemas = {path.stem for path in (ROOT / "docs" / "schemas").glob("*.json")}
        # That one describes `assay api`; tests/it/api.rs asks it.
        self.assertEqual(seen, schemas - {"openapi"})

    def test_the_schemas_refuse_what_is_wrong(self):
        def refused(name: str, example: str, **changes) -> bool:
            document = json.loads((ROOT / "docs" / "examples" / f"{example}.json").read_text()) | changes
            return not validator(name).is_valid(document)

        self.assertTrue(refused("request", "request-minimal", submission_id=""))
        self.assertTrue(refused("request", "request-minimal", image={"bucket": "uploads"}))
        self.assertTrue(refused("request", "request-minimal", generation=-1))
        self.assertTrue(refused("request", "request-full", deadline="tomorrow"))
        self.assertTrue(refused("request", "request-full", purpose="fun"))
        self.assertTrue(refused("request", "request-full", tenant="a.b"))
        self.assertTrue(refused("verdict", "verdict-real", decision="fake"))
        self.assertTrue(refused("verdict", "verdict-real", schema="assay.failure.v1"))
        self.assertTrue(refused("failure", "failure", code="bad_luck"))
        self.assertTrue(refused("rejection", "rejection", code="bad_luck"))
        self.assertTrue(refused("label", "label", origin="fake"))
        self.assertTrue(refused("label", "label", image={"bucket": "uploads", "key": "u/1.jpg"}))
        self.assertTrue(refused("manifest", "manifest", schema="assay.model.v2"))


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.set = servers.Set(FOLDER, BASE_PORT)
        cls.addClassCleanup(servers.wipe, cls.set)
        with servers.one_at_a_time(FOLDER / "servers.lock"):
            servers.install_missing(cls.set)
            cls.set.start(cls.set.all)
            settings = clients.settings(cls.set.write_env())
        cls.url = settings["ASSAY__BROKER__URL"]
        cls.token = uuid.uuid4().hex[:8]
        cls.prefix = f"clients-{cls.token}"
        cls.environment = os.environ | settings | {
            "AMQP_URL": cls.url, "ASSAY_PREFIX": cls.prefix, "ASSAY__BROKER__PREFIX": cls.prefix,
            "ASSAY__DETECTOR__MODEL": "scripted", "ASSAY__DATABASE__SCHEMA": cls.prefix.replace("-", "_"),
            "PYTHONPATH": os.pathsep.join(sys.path)}
        bucket = clients.bucket_client(settings)
        for number in range(IMAGES):
            bucket.put_object(Bucket="uploads", Key=f"{cls.prefix}/{number}.bmp", Body=bitmap(number * 255 // IMAGES))
        clients.run([BINARY, "migrate"], "assay migrate", env=cls.environment)
        worker = Worker(BINARY, cls.environment, FOLDER / "worker.log")
        cls.addClassCleanup(worker.kill)
        worker.wait_until_ready(DEADLINE)
        cls.grant()
        cls.connection = pika.BlockingConnection(pika.URLParameters(f"{cls.url}?heartbeat=0"))
        cls.addClassCleanup(cls.connection.close)

    @classmethod
    def grant(cls):
        """The users of docs/least-rights.md that a submitter and a consumer of each language are, in the vhost of the test: by
        the document's own lines."""
        text = (ROOT / "docs" / "least-rights.md").read_text().replace("assay\\.", f"{cls.prefix}\\.")
        lines = [line.removeprefix("rabbitmqctl ") for line in text.splitlines() if line.startswith("rabbitmqctl ")]
        vhost = urllib.parse.unquote(urllib.parse.urlsplit(cls.url).path.removeprefix("/")) or "/"
        for language in LANGUAGES:
            for line in lines:
                if "assay_submitter" in line or "assay_consumer_acme" in line:
                    line = line.replace("assay_submitter", cls.user("submitter", language))
                    line = line.replace("assay_consumer_acme", cls.user("consumer", language)).replace("acme\\.", f"{language}-{cls.token}\\.")
                    cls.set.rabbitmq.control([*shlex.split(line.replace("-p assay ", f"-p {vhost} "))], capture_output=True, text=True).check_returncode()
        cls.addClassCleanup(lambda: [cls.set.rabbitmq.control(["delete_user", cls.user(what, language)], capture_output=True, text=True)
                                     for what in ("submitter", "consumer") for language in LANGUAGES])

    @classmethod
    def user(cls, what: str, language: str) -> str:
        return f"{what}-{language}-{cls.token}"

    def login(self, what: str, language: str) -> dict:
        """The environment with the broker's URL for a user."""
        url = urllib.parse.urlsplit(self.url)
        return {"AMQP_URL": url._replace(netloc=f"{self.user(what, language)}:PASSWORD@{url.hostname}:{url.port}").geturl()}

    def ready(self, queue: str) -> int | None:
        """Messages that wait in a queue; None where there is none."""
        try:
            with self.connection.channel() as channel:
                return channel.queue_declare(queue, passive=True).method.message_count
        except pika.exceptions.ChannelClosedByBroker:
            return None

    def requests(self, language: str, numbers) -> list[dict]:
        return [{"submission_id": f"{language}/{number}", "image": {"bucket": "uploads", "key": f"{self.prefix}/{number}.bmp"},
                 "tenant": "acme", "metadata": {"number": number}} for number in numbers]

    def check(self, language: str, enqueue: list, results: list):
        """Everything that the clients promise, in one language."""
        queue = f"{language}-{self.token}.outcomes"
        state = FOLDER / f"{language}-{self.token}.handled"
        environment = self.environment | {"RESULTS_QUEUE": queue, "RESULTS_DATABASE": str(state), "RESULTS_FILE": str(state)}
        self.addCleanup(lambda: state.unlink(missing_ok=True))

        def send(requests: list[dict]) -> list[str]:
            lines = "".join(json.dumps(request) + "\n" for request in requests)
            submitter = environment | self.login("submitter", language)
            return clients.run(enqueue, f"{language}: enqueue", input=lines, env=submitter, timeout=DEADLINE).splitlines()

        def receive(process: subprocess.Popen) -> list[dict]:
            self.addCleanup(process.kill)
            out, _ = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 0)
            return [json.loads(line) for line in out.splitlines()]

        def consumer(count: int) -> subprocess.Popen:
            reader = environment | self.login("consumer", language)
            return subprocess.Popen([*results, str(count)], env=reader, stdout=subprocess.PIPE, text=True)

        first = consumer(IMAGES + 1)
        wait(lambda: self.ready(queue) is not None, f"{language}: the consumer declares its queue")
        # The last one was never uploaded.
        asked = self.requests(language, range(IMAGES + 1))
        self.assertEqual(send(asked), [request["submission_id"] for request in asked])
        outcomes = receive(first)
        self.assertEqual({one["submission_id"]: one["metadata"] for one in outcomes},
                         {one["submission_id"]: one["metadata"] for one in asked})
        for outcome in outcomes:
            kind = outcome["schema"].split(".")[1]
            validator(kind).validate(outcome)
            self.assertEqual(kind, "failure" if outcome["metadata"]["number"] == IMAGES else "verdict", outcome)

        # Each once more, and one that is new: of the outcomes, which all come, only that one's is news.
        send(asked)
        wait(lambda: self.ready(queue) == len(asked), f"{language}: each outcome comes again")
        again = self.requests(f"{language}/again", [0])
        send(again)
        wait(lambda: self.ready(queue) == len(asked) + 1, f"{language}: the new outcome comes")
        self.assertEqual([one["submission_id"] for one in receive(consumer(1))], [again[0]["submission_id"]])
        wait(lambda: self.ready(queue) == 0, f"{language}: the consumer has acknowledged all of them")

        # What no queue takes is not done.
        nowhere = subprocess.run(enqueue, input=json.dumps(asked[0]), env=environment | self.login("submitter", language) | {"ASSAY_PREFIX": "nowhere"},
                                 capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((nowhere.returncode, nowhere.stdout), (1, ""))
        self.assertIn("there is no queue nowhere.images", nowhere.stderr)
        with self.connection.channel() as channel:
            channel.queue_delete(queue)

    def test_python(self):
        self.check("python", [sys.executable, HERE / "python" / "enqueue.py"], [sys.executable, HERE / "python" / "results.py"])

    def test_typescript(self):
        built = typescript()
        self.check("typescript", ["node", built / "enqueue.js"], ["node", built / "results.js"])

    def test_the_asyncapi_document_is_valid_and_names_what_there_is(self):
        node()
        tool = FOLDER / "asyncapi"
        shutil.copytree(ROOT / "docs" / "asyncapi-check", tool, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        clients.npm_ci(tool)
        bindings = json.loads(clients.run(["node", tool / "check.mjs", ROOT / "docs" / "asyncapi.yaml"], "docs/asyncapi.yaml"))

        def named(what: str, *fields: str) -> set[tuple]:
            found = (binding[what] for binding in bindings if binding and what in binding)
            return {tuple(one[field] for field in fields) for one in found}

        def declared(*command: str) -> set[tuple]:
            done = self.set.rabbitmq.control(["--quiet", "--formatter", "json", *command], capture_output=True, text=True)
            rows = [{**row, "name": row["name"].replace(self.prefix, "assay")} for row in json.loads(done.stdout)]
            return {tuple(row[field] for field in command[1:]) for row in rows if row["name"].startswith("assay.")}

        queues = declared("list_queues", "name", "durable")
        # The queue of the corrections is made by what reads them.
        self.assertEqual(named("queue", "name", "durable") - queues - {("assay.labels", True)}, set())
        # Of the retry schedule nobody else needs to know.
        self.assertEqual({name for name, *_ in queues if ".retry." not in name} - {name for name, in named("queue", "name")}, set())
        self.assertEqual(named("exchange", "name", "type", "durable"), declared("list_exchanges", "name", "type", "durable"))


if __name__ == "__main__":
    unittest.main()
