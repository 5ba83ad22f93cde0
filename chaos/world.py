"""The servers of the run, the proxies before them, and the pictures in the bucket. Runs while a `with` lasts."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import pathlib
import random
import time

import clients
import pictures
import servers
from botocore.exceptions import BotoCoreError, ClientError
from process import Trouble
from proxy import Network, Proxy
from submissions import BUCKET
from store_faults import StoreProxy
from watchers import AmqpWatcher, PostgresWatcher

# Ports after the first: the servers' own take twenty.
SMALL_DATABASE, BROKER_PROXY, DATABASE_PROXY, STORE_PROXY, WORKERS = 20, 30, 31, 32, 40
GOOD_PICTURES = 30


class World:
    def __init__(self, folder: pathlib.Path, base_port: int, binary: pathlib.Path, logs: pathlib.Path, say):
        self.folder, self.base_port, self.binary, self.logs, self.say = folder, base_port, binary, logs, say
        # Where the worker looks for the program that decodes.
        self.decoder = binary.with_name("assay-decoder")
        self.alarmed = False
        self.set = servers.Set(folder, base_port)

    def __enter__(self) -> "World":
        with contextlib.ExitStack() as undo:
            undo.callback(self._stop_servers)
            self._open()
            undo.pop_all()
        return self

    def _open(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        with servers.one_at_a_time(self.folder / "servers.lock"):
            servers.install_missing(self.set)
            self.set.start(self.set.all)
            self.environment = clients.settings(self.set.write_env())
        self.network = Network()
        self.broker = Proxy(self.network, self.base_port + BROKER_PROXY, self.set.rabbitmq.port, AmqpWatcher)
        self.database = Proxy(self.network, self.base_port + DATABASE_PROXY, self.set.postgres.port, PostgresWatcher)
        self.store = StoreProxy(self.network, self.base_port + STORE_PROXY, self.set.s3.port)
        self.bucket = clients.bucket_client(self.environment)
        rng = random.Random("pictures")
        self.good = self.put(pictures.good(rng, "chaos", GOOD_PICTURES))
        self.notable = [one for one in self.good if one.key.endswith(".jpeg")]
        self.bad = self.put(pictures.bad(rng, "chaos"))

    def __exit__(self, *_) -> None:
        self.network.close()
        self._stop_servers()

    def _stop_servers(self) -> None:
        with servers.one_at_a_time(self.folder / "servers.lock"):
            servers.down(self.set)

    def put(self, objects: list[pictures.Object]) -> list[pictures.Object]:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.put_one, objects))

    def put_one(self, one: pictures.Object) -> pictures.Object:
        while True:
            try:
                self.bucket.put_object(Bucket=BUCKET, Key=one.key, Body=one.body)
                break
            except (BotoCoreError, ClientError):
                # A row may have the server away just now.
                time.sleep(0.2)
        # A small object's etag is the digest of its bytes.
        return dataclasses.replace(one, etag=hashlib.md5(one.body, usedforsecurity=False).hexdigest())

    def proxied(self, through: set[str]) -> dict[str, str]:
        """Settings of a worker that sees these servers through their proxies."""
        settings = {}
        for name, key, direct, port in [("broker", "ASSAY__BROKER__URL", self.set.rabbitmq.port, self.broker.port),
                                        ("database", "ASSAY__DATABASE__URL", self.set.postgres.port, self.database.port),
                                        ("store", "ASSAY__OBJECTS__ENDPOINT", self.set.s3.port, self.store.port)]:
            if name in through:
                settings[key] = self.environment[key].replace(f":{direct}", f":{port}")
        return settings

    def control(self, *arguments: str) -> str:
        """What rabbitmqctl answers."""
        done = self.set.rabbitmq.control(list(arguments), capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"rabbitmqctl {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def broker_logs(self):
        """A function that says what RabbitMQ has logged from now on."""
        path = self.set.rabbitmq.data / "logs" / "rabbitmq.log"
        begin = path.stat().st_size

        def since() -> str:
            with open(path, "rb") as log:
                log.seek(begin)
                return log.read().decode(errors="replace")

        return since

    def alarm(self, raised: bool) -> None:
        """RabbitMQ's memory alarm."""
        self.alarmed = raised
        self.control("set_vm_memory_high_watermark", "0" if raised else "0.4")

    def consumer_timeout(self, milliseconds: int = 1_800_000, tick: int = 60_000) -> None:
        """How long RabbitMQ waits for an acknowledgement, and how often it looks; of channels made from now on."""
        self.control("eval", f"application:set_env(rabbit, consumer_timeout, {milliseconds}), "
                             f"application:set_env(rabbit, channel_tick_interval, {tick}).")

    def heal(self) -> None:
        """Everything as it was, whatever a row has left."""
        for proxy in (self.broker, self.database, self.store):
            proxy.heal()
        stopped = [server for server in self.set.all if not server.healthy()]
        if stopped:
            self.set.start(stopped)
        if self.alarmed:
            self.alarm(False)

    def restart(self, name: str, kill: bool) -> None:
        """One of the servers goes away, at once or in order, and comes back."""
        server = self.set.named(name)
        server.kill() if kill else server.stop()
        self.start(name)

    def start(self, name: str) -> None:
        self.set.start([self.set.named(name)])


def wait(condition, seconds: float, pause: float = 0.05):
    """The first value that counts as true, or the last one after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return value
