"""The servers that the whole path is measured on, and our side of them: filling queue and bucket, watching verdicts,
counting the processor time of each process."""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

from contestants import Trouble

ROOT = pathlib.Path(__file__).resolve().parents[1]
SERVERS = ROOT / "deploy" / "local" / "servers.py"
BUCKET = "uploads"
IMAGES, RESULTS, VERDICTS = "assay.images", "assay.results", "assay.verdicts"
TICKS = os.sysconf("SC_CLK_TCK")
# So long may nothing at all happen before we give up.
DEADLINE = 120.0

sys.path.append(str(SERVERS.parent))

import assay  # noqa: E402
import clients  # noqa: E402
from process import family, memory  # noqa: E402


class Edges:
    """RabbitMQ, PostgreSQL and the S3 server of the benchmarks; they run while a `with` lasts."""

    def __init__(self, folder: pathlib.Path, base_port: int):
        self.folder, self.base_port = folder, base_port

    def __enter__(self) -> "Edges":
        self._servers("up", "--base-port", str(self.base_port))
        self.environment = clients.settings(self.folder / "env")
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
        clients.run(command, " ".join(map(str, command)), env=os.environ | self.environment | more)

    def put(self, objects: dict[str, bytes]) -> None:
        client = clients.bucket_client(self.environment)
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

        # A partition that has no rows yet is no verdict's.
        question = ("SELECT sum(pg_total_relation_size(relid)) / greatest(1, (SELECT count(*) FROM assay.verdicts)) "
                    "FROM unnest(ARRAY['assay.outcomes', 'assay.verdicts']) AS name, pg_partition_tree(name::regclass) "
                    "WHERE isleaf AND pg_relation_size(relid) > 0")
        with psycopg.connect(self.environment["ASSAY__DATABASE__URL"], autocommit=True) as database:
            return float(database.execute(question).fetchone()[0])

    def purge(self) -> None:
        for queue in (IMAGES, RESULTS):
            self.channel.queue_purge(queue)

    def processor_seconds(self, *workers: int) -> dict[str, float]:
        """What each has used so far, the workers together, and all processes of the machine together."""
        places = {"worker": workers, **{name: (pid,) for name, pid in self.pids.items()}}
        used = {name: sum(_seconds(one) for pid in pids for one in family(pid)) for name, pids in places.items()}
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


class Worker(assay.Worker):
    """`assay worker`, while a `with` lasts."""

    def __init__(self, binary: pathlib.Path, edges: Edges, log: pathlib.Path, **settings: str):
        super().__init__(binary, edges.environment | {"ASSAY__LOG__FORMAT": "json"} | settings, log)

    def wait_until_ready(self, seconds: float = DEADLINE) -> float:
        return super().wait_until_ready(seconds)

    def peak_resident_mb(self) -> float:
        return memory(self.pid, "VmHWM") / 1e6

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind, *_) -> None:
        self.terminate(40) if kind is None else self.kill()


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
            if time.perf_counter() - heard > DEADLINE:
                raise Trouble(f"{count - before} verdicts did not come within {DEADLINE:.0f} s")
        arrivals, self.arrivals = self.arrivals, []
        # One that was scored before has no batch.
        first = max(1, arrivals[0].batch)
        return (count - first) / (arrivals[-1].at - arrivals[0].at)
