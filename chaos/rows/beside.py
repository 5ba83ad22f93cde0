"""Commands that run beside the workers, and questions to the database."""

import json
import os
import signal
import subprocess
import time

import psycopg

from scene import Scene


def query(scene: Scene, sql: str) -> list[tuple]:
    with psycopg.connect(scene.reader.database, autocommit=True) as database:
        answer = database.execute(sql)
        return answer.fetchall() if answer.description else []


def killed(scene: Scene, arguments: list[str], most: float) -> None:
    """Starts a command and kills it after a while, unless it has ended before."""
    process = start(scene, arguments)
    time.sleep(scene.rng.uniform(0, most))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def ended(scene: Scene, arguments: list[str]) -> tuple[int, str]:
    """Exit code and words of a command that nobody kills."""
    process = start(scene, arguments)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def start(scene: Scene, arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen([scene.world.binary, *arguments], env=os.environ | scene.world.environment | scene.settings, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def told(scene: Scene, arguments: list[str]) -> dict:
    """What a command says as one JSON document; nothing where it failed. What it logs goes to the row's log."""
    with open(scene.log, "ab") as log:
        done = subprocess.run([scene.world.binary, *arguments], env=os.environ | scene.world.environment | scene.settings, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=log, timeout=120)
    return json.loads(done.stdout) if done.returncode == 0 else {}
