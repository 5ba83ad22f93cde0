"""One row of the table while it runs: queues and tables of its own, workers, load, and what it claims beside the checker."""

import contextlib
import os
import random
import signal
import threading
import time

import psycopg

import clients
from assay import Worker
from findings import Reader
from load import TROUBLE, Load, Publisher
from checker import DEAD, ERASED, REVIEWED, Findings, Submission, judge
from process import running
from submissions import Composer, Message
from world import WORKERS, World, wait

# So long may nothing at all happen before we call what has not come lost.
DEADLINE = 60.0
# Seconds in which work must go on once the fault is over.
RECOVERY = 30.0
GRACE = 40.0
DELAYS = [1, 2]
LOAD = 80.0


class Scene:
    """Runs while a `with` lasts; `finish` judges it."""

    def __init__(self, world: World, name: str, seed: str, trials: int, short: bool):
        self.world, self.name, self.trials, self.short = world, name, trials, short
        # The load draws from another, since it runs beside the row.
        self.rng = random.Random(seed)
        self.prefix, self.schema = f"chaos.{name}", f"chaos_{name.replace('-', '_')}"
        self.log = world.logs / f"{name}.log"
        self.reader = Reader(world.environment, self.prefix, self.schema, DELAYS)
        self.composer = Composer(random.Random(f"{seed}/load"), world, name)
        self.publisher = Publisher(world.environment["ASSAY__BROKER__URL"], self.prefix)
        self.submissions: dict[str, Submission] = {}
        self.workers: list[Worker] = []
        self.running: Load | None = None
        self.done = 0
        self.recovery_seconds: list[float] = []
        # What the row shows beside the checker's answer, and what of it did not hold.
        self.broken: list[str] = []
        self.findings = Findings()
        self.details: dict = {}
        self.told = time.monotonic()
        self.lock = threading.Lock()
        # What a row has set up beside it, undone at its end.
        self.closing = contextlib.ExitStack()
        self.settings = {
            "ASSAY__DETECTOR__MODEL": "scripted", "ASSAY__BROKER__PREFIX": self.prefix, "ASSAY__DATABASE__SCHEMA": self.schema,
            "ASSAY__BROKER__RETRY_DELAYS_S": ",".join(map(str, DELAYS)), "ASSAY__LOG__FORMAT": "human"}

    def __enter__(self) -> "Scene":
        self.log.unlink(missing_ok=True)
        self.world.heal()
        self.reader.clear()
        clients.run([self.world.binary, "migrate"], "assay migrate", env=os.environ | self.world.environment | self.settings)
        return self

    def __exit__(self, kind, *_) -> None:
        if self.running:
            self.running.given_up.set()
            self.running.stop(5)
        for worker in self.workers:
            worker.kill()
        self.closing.close()
        if kind is KeyboardInterrupt:
            return
        self.world.heal()
        with contextlib.suppress(psycopg.Error, *TROUBLE):
            self.reader.clear()

    # Workers.

    def worker(self, through: set[str] = frozenset(), ready: bool = True, **settings: str) -> Worker:
        """Another worker, ready unless told otherwise. `through`: the servers that it sees through their proxies."""
        self.workers = [worker for worker in self.workers if worker.alive()]
        ports = {worker.admin for worker in self.workers}
        admin = next(address for number in range(40) if (address := f"127.0.0.1:{self.world.base_port + WORKERS + number}") not in ports)
        environment = self.world.environment | self.settings | self.world.proxied(through) | settings
        worker = Worker(self.world.binary, environment, self.log, admin, append=True)
        self.workers.append(worker)
        if ready:
            worker.wait_until_ready(RECOVERY)
        return worker

    def until(self, condition, seconds: float, what: str) -> bool:
        """Waits for a condition; a claim of the row that it comes."""
        return self.claim(wait(condition, seconds), f"{what} (not within {seconds:.0f} s)")

    def until_settled(self, worker: Worker, more: int = 1, seconds: float = RECOVERY) -> bool:
        goal = settled(worker) + more
        return self.until(lambda: settled(worker) >= goal, seconds, f"a worker under load settles {more} more")

    def recovers(self, worker: Worker, since: float | None = None) -> None:
        """Measures how long it takes from now, or from `since`, until the worker is ready and settles again."""
        since = since or time.monotonic()
        goal = settled(worker) + 1
        if self.until(lambda: settled(worker) >= goal and worker.ready(), RECOVERY + 30, "work goes on once the fault is over"):
            self.recovery_seconds.append(time.monotonic() - since)
            self.claim(self.recovery_seconds[-1] <= RECOVERY, f"recovery within {RECOVERY:.0f} s; it took {self.recovery_seconds[-1]:.1f} s")

    # Load.

    def load(self, rate: float = LOAD) -> Load:
        self.running = Load(self.publisher, self.composer.next, self.register, rate)
        self.running.start()
        return self.running

    def rest(self) -> None:
        """Ends the load."""
        if self.running:
            self.running.stop()
            self.claim(self.running.trouble is None, f"the load goes on to its end: {self.running.trouble!r}")
            self.running = None

    def register(self, message: Message) -> None:
        with self.lock:
            for one in message.submissions:
                self.submissions[one.id] = one

    def send(self, messages: list[Message]) -> None:
        publisher = Publisher(self.world.environment["ASSAY__BROKER__URL"], self.prefix)
        for message in messages:
            self.register(message)
            publisher.publish(message)
        publisher.close()

    # Judging.

    def claim(self, holds, what: str) -> bool:
        if not holds:
            self.broken.append(what)
        return bool(holds)

    def progress(self, done: int) -> None:
        self.done = done
        self.tell(f"{done} of {self.trials}, {len(self.submissions)} submissions")

    def tell(self, what: str) -> None:
        """Now and then a line, so that nobody thinks that it hangs."""
        if time.monotonic() - self.told > 10:
            self.told = time.monotonic()
            self.world.say(f"{self.name}: {what}")

    def finish(self) -> Findings:
        """Ends the load, lets the workers finish, stops them in order, and judges."""
        self.rest()
        self.world.heal()
        if not any(worker.alive() for worker in self.workers):
            self.worker()
        self.wait_until_done()
        for worker in self.workers:
            if worker.alive():
                code = worker.terminate(GRACE)
                self.claim(code == 0, f"an orderly stop ends with exit code 0, not {code}")
        self.claim("panicked at" not in self.log.read_text(errors="replace"), f"no panic in {self.log.name}")
        self.claim(wait(lambda: not running(self.world.decoder), 5), "no decoder outlives its worker")
        self.judge_now()
        return self.findings

    def judge_so_far(self) -> None:
        """Lets the workers finish, judges, and begins with empty tables, so that a long run needs no more memory than a short one."""
        self.rest()
        self.wait_until_done(calm=10)
        self.judge_now()
        self.reader.forget()
        with self.lock:
            self.submissions.clear()
            self.composer.recent = []

    def judge_now(self) -> None:
        self.findings.add(judge(list(self.submissions.values()), self.reader.evidence()))

    def wait_until_done(self, calm: int = 1) -> bool:
        """Until each submission has its end and nothing is under way, seen so often in a row; or until nothing happens any more."""
        dead = sum(one.due == {DEAD} for one in self.submissions.values())
        rows = len(self.submissions) - dead - sum(one.due == {ERASED} for one in self.submissions.values())
        rows += sum(one.due == {REVIEWED} for one in self.submissions.values())
        heard, last, seen = time.monotonic(), None, 0
        while time.monotonic() - heard < DEADLINE:
            try:
                counts = self.reader.counts()
            except (psycopg.Error, *TROUBLE):
                counts = None
            flying = sum(worker.metrics().get("assay_in_flight_images", 0) for worker in self.workers if worker.alive())
            seen = seen + 1 if counts and counts[0] >= rows and counts[1] >= dead and counts[2] == 0 and flying == 0 else 0
            if seen == calm:
                return True
            if counts != last:
                heard, last = time.monotonic(), counts
            time.sleep(0.1)
        return False


def settled(worker: Worker) -> float:
    """Messages that the worker has acknowledged since its start."""
    return worker.metrics().get('assay_settlements_total{answer="done"}', 0.0)


def kill(worker: Worker):
    """An act for a trap."""
    return lambda _connection: os.kill(worker.pid, signal.SIGKILL)
