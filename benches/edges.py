"""The servers that the whole path is measured on, and our side of them: filling queue and bucket, watching verdicts,
counting the processor time of each process."""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from contestants import Trouble, peak_resident_mb

ROOT = pathlib.Path(__file__).resolve().parents[1]
SERVERS = ROOT / "deploy" / "local" / "servers.py"
BUCKET = "uploads"
IMAGES, RESULTS, VERDICTS = "assay.images", "assay.results", "assay.verdicts"
TICKS = os.sysconf("SC_CLK_TCK")
# So long may nothing at all happen before we give up.
PATIENCE = 120.0

sys.path.insert(0, str(SERVERS.parent))
from process import family  # noqa: E402


class Edges:
    """RabbitMQ, PostgreSQL and the S3 server of the benchmarks; they run while a `with` lasts."""

    def __init__(self, folder: pathlib.Path, base_port: int):
        self.folder, self.base_port = folder, base_port

    def __enter__(self) -> "Edges":
        self._servers("up", "--base-port", str(self.base_port))
        lines = (self.folder / "env").read_text().splitlines()
        pairs = (line.removeprefix("export ").partition("=") for line in lines)
        self.environment = {name: value.strip("'") for name, _, value in pairs}
        self.pids = {name: int((self.folder / "servers" / folder / "pid").read_text().split()[0])
                     for name, folder in [("RabbitMQ", "rabbitmq"), ("PostgreSQL", "postgres"), ("S3 server", "s3")]}
        import pika

        self.pika = pika
        # No heartbeats: between rounds nobody attends to the connection.
        parameters = pika.URLParameters(self.environment["ASSAY__BROKER__URL"])
        parameters.heartbeat = 0
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        return self

    def __exit__(self, *_) -> None:
        try:
            self.connection.close()
        except self.pika.exceptions.AMQPError:
            pass
        self._servers("down")

    def _servers(self, *arguments: str) -> None:
        done = subprocess.run([sys.executable, SERVERS, arguments[0], "--dir", self.folder, *arguments[1:]],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"servers.py {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")

    def run(self, command: list, **more: str) -> None:
        done = subprocess.run([str(part) for part in command], env=os.environ | self.environment | more, capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"{' '.join(map(str, command))} failed: {done.stderr.strip()}")

    def put(self, objects: dict[str, bytes]) -> None:
        import boto3
        import botocore.config

        client = boto3.client("s3", endpoint_url=self.environment["ASSAY__OBJECTS__ENDPOINT"],
                              region_name=self.environment["AWS_REGION"],
                              aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
                              aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
                              config=botocore.config.Config(s3={"addressing_style": "path"}, max_pool_connections=8))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: client.put_object(Bucket=BUCKET, Key=item[0], Body=item[1]), objects.items()))

    def publish(self, queue: str, keys: list[str], name: str, count: int) -> None:
        """`count` submissions named after `name`, with the keys in turn."""
        properties = self.pika.BasicProperties(content_type="application/json", delivery_mode=2)
        for number in range(count):
            image = {"bucket": BUCKET, "key": keys[number % len(keys)]}
            body = {"submission_id": f"{name}/{number}", "image": image}
            self.channel.basic_publish("", queue, json.dumps(body), properties)
        # A question on the same channel is answered after all that came before it.
        self.waiting(queue)

    def waiting(self, queue: str) -> int:
        """Messages in a queue that are nobody's yet."""
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def bytes_per_verdict(self) -> float:
        """Of the database: tables and indexes, over all verdicts that it holds."""
        import psycopg

        tables = "'assay.outcomes', 'assay.verdicts'"
        question = f"SELECT sum(pg_total_relation_size(name::regclass)) / greatest(1, (SELECT count(*) FROM assay.verdicts)) FROM unnest(ARRAY[{tables}]) AS name"
        with psycopg.connect(self.environment["ASSAY__LEDGER__URL"], autocommit=True) as database:
            return float(database.execute(question).fetchone()[0])

    def purge(self) -> None:
        for queue in (IMAGES, RESULTS):
            self.channel.queue_purge(queue)

    def processor_seconds(self, worker: int) -> dict[str, float]:
        """What each has used so far, and all processes of the machine together."""
        used = {name: sum(map(_seconds, family(pid))) for name, pid in {"worker": worker, **self.pids}.items()}
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        idle = int(fields[3]) + int(fields[4])
        return used | {"busy": (sum(map(int, fields)) - idle) / TICKS, "idle": idle / TICKS}


def _seconds(pid: int) -> float:
    """Of a process and of its children that have ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


class Worker:
    """`assay worker`, while a `with` lasts."""

    def __init__(self, binary: pathlib.Path, edges: Edges, log: pathlib.Path, **settings: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.admin = f"127.0.0.1:{free.getsockname()[1]}"
        self.log = log
        environment = os.environ | edges.environment | {"ASSAY__ADMIN__LISTEN": self.admin, "ASSAY__LOG__FORMAT": "json"} | settings
        self.began = time.perf_counter()
        with open(log, "wb") as output:
            self.process = subprocess.Popen([binary, "worker"], env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_ready(self) -> float:
        """Seconds since its start."""
        while time.perf_counter() - self.began < PATIENCE:
            self.check()
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=2):
                    return time.perf_counter() - self.began
            except (urllib.error.URLError, OSError):
                time.sleep(0.005)
        raise Trouble(f"the worker isn't ready after {PATIENCE:.0f} s; see {self.log}")

    def check(self) -> None:
        if self.process.poll() is not None:
            words = self.log.read_text(errors="replace").splitlines()[-5:]
            raise Trouble("\n".join([f"the worker ended with exit code {self.process.returncode}:", *words]))

    def peak_resident_mb(self) -> float | None:
        return peak_resident_mb(self.pid)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind, *_) -> None:
        self.process.send_signal(signal.SIGTERM if kind is None else signal.SIGKILL)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclasses.dataclass
class Arrival:
    at: float
    batch: int


class Verdicts:
    """The stream of verdicts, on a queue of our own."""

    def __init__(self, edges: Edges):
        self.edges = edges
        self.channel = edges.connection.channel()
        queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(queue, VERDICTS, "#")
        self.arrivals: list[Arrival] = []
        self.channel.basic_consume(queue, self._take, auto_ack=True)

    def _take(self, _channel, method, _properties, body) -> None:
        if method.routing_key.startswith("failure."):
            raise Trouble(f"a submission failed: {body.decode()}")
        self.arrivals.append(Arrival(time.perf_counter(), json.loads(body).get("batch_size", 1)))

    def rate(self, count: int, check) -> float:
        """Verdicts a second, from the end of the first batch to the last of `count`; forgets them."""
        heard = time.perf_counter()
        while len(self.arrivals) < count:
            before = len(self.arrivals)
            self.edges.connection.process_data_events(time_limit=0.2)
            check()
            if len(self.arrivals) > before:
                heard = time.perf_counter()
            if time.perf_counter() - heard > PATIENCE:
                raise Trouble(f"{count - before} verdicts did not come within {PATIENCE:.0f} s")
        arrivals, self.arrivals = self.arrivals, []
        # One that was scored before has no batch.
        first = max(1, arrivals[0].batch)
        return (count - first) / (arrivals[-1].at - arrivals[0].at)
