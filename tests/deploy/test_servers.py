"""Each container's command with the environment of its manifest, on real servers: what is put in its place is only where the
servers are, what the secrets hold, and what the image would have brought. Servers of its own in .local/deploy."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import uuid

from test_settings import environment, mounted_config
from workplace import ROOT, Manifests

import clients
import servers

FOLDER = ROOT / ".local" / "deploy"
BASE_PORT = int(os.environ.get("ASSAY_DEPLOY_BASE_PORT", "22760"))
BINARY = pathlib.Path(os.environ["ASSAY_BINARY"])
DEADLINE = 120.0
# What the servers of a cluster have, and those of a test don't, or have elsewhere.
PLACES = {"ASSAY__OBJECTS__ENDPOINT", "ASSAY__OBJECTS__PATH_STYLE", "ASSAY__OBJECTS__REGION", "ASSAY__OBJECTS__ALLOWED_BUCKETS", "AWS_REGION"}


class Pods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        FOLDER.mkdir(parents=True, exist_ok=True)
        cls.set = servers.Set(FOLDER, BASE_PORT)
        cls.addClassCleanup(servers.wipe, cls.set)
        with servers.one_at_a_time(FOLDER / "servers.lock"):
            servers.install_missing(cls.set)
            cls.set.start(cls.set.all)
            cls.servers = clients.settings(cls.set.write_env())
        cls.own = f"pods_{uuid.uuid4().hex[:8]}"

    def container(self, overlay: str, owner: str, name: str) -> tuple[str, dict[str, str], list[str]]:
        """The configuration that is mounted, the environment, the arguments."""
        manifests = Manifests(overlay)
        found = [(pod, one) for object, pod, one in manifests.containers() if (object, one["name"]) == (owner, name)]
        self.assertEqual(len(found), 1, f"{owner}/{name}")
        pod, container = found[0]
        variables = environment(manifests, container)
        told = {entry["name"]: entry["valueFrom"]["secretKeyRef"]["key"] for entry in container["env"] if "valueFrom" in entry}
        held = {"broker-url": "ASSAY__BROKER__URL", "database-url": "ASSAY__DATABASE__URL", "aws-access-key-id": "AWS_ACCESS_KEY_ID",
                "aws-secret-access-key": "AWS_SECRET_ACCESS_KEY"}
        # Only what the manifest asks of a secret is given: a URL that is missing there is missing here.
        variables |= {variable: self.servers[held[key]] for variable, key in told.items()}
        variables |= {key: value for key, value in self.servers.items() if key in PLACES}
        return mounted_config(manifests, pod, container), variables, container["args"]

    def run_container(self, owner: str, name: str, **more: str) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            command, options = self.command(folder, owner, name, more)
            return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **options)

    def command(self, folder: str, owner: str, name: str, more: dict[str, str]):
        config, variables, arguments = self.container("cpu", owner, name)
        file = pathlib.Path(folder) / "production.toml"
        file.write_text(config)
        os_only = {key: value for key, value in os.environ.items() if not key.startswith(("ASSAY_", "AWS_"))}
        stands_in = {
            "ASSAY_CONFIG": str(file), "ASSAY__DATABASE__SCHEMA": self.own, "ASSAY__BROKER__PREFIX": self.own,
            # The image has a model, and the pod a volume for those of the registry.
            "ASSAY__DETECTOR__MODEL": "scripted", "ASSAY__REGISTRY__CACHE": f"{folder}/cache", "ASSAY__ADMIN__LISTEN": "127.0.0.1:0",
        }
        return [BINARY, *arguments], {"cwd": folder, "env": os_only | variables | stands_in | more}

    def first_model(self, store: dict[str, str]):
        """Registered and promoted with the retraining pod's environment, as the README has it before the job runs."""
        with tempfile.TemporaryDirectory() as folder:
            _, options = self.command(folder, "assay-retrain", "retrain", store)
            for words in ("init --arch resnet18-nodown-16 --out first", "register first", "promote VERSION --reason first"):
                if "VERSION" in words:
                    words = words.replace("VERSION", json.loads((pathlib.Path(folder) / "first/manifest.json").read_text())["version"])
                done = subprocess.run([BINARY, "model", *words.split()], capture_output=True, text=True, timeout=DEADLINE, **options)
                self.assertEqual(done.returncode, 0, f"assay model {words}: {done.stdout}{done.stderr}")

    def test_the_commands_of_every_pod_run_in_the_order_of_a_deployment(self):
        migrated = self.run_container("assay-migrate", "migrate")
        self.assertEqual(migrated.returncode, 0, migrated.stderr)
        looked = self.run_container("assay-migrate", "doctor")
        self.assertEqual(looked.returncode, 0, looked.stdout + looked.stderr)
        store = {"ASSAY__REGISTRY__STORE": "s3://uploads/" + self.own}
        self.first_model(store)
        # Nobody labelled anything, so there is nothing to learn: but it takes corrections from their queue first.
        retrained = self.run_container("assay-retrain", "retrain", **store)
        said = retrained.stdout + retrained.stderr
        self.assertEqual(retrained.returncode, 0, said)
        self.assertIn("corrections taken", said)
        with tempfile.TemporaryDirectory() as folder:
            command, options = self.command(folder, "assay-worker", "worker", {})
            log = pathlib.Path(folder) / "log"
            with log.open("w") as file:
                worker = subprocess.Popen(command, stdout=file, stderr=file, **options)
            self.addCleanup(worker.kill)
            wait(lambda: "the detector is warm" in log.read_text() or worker.poll() is not None)
            self.assertIsNone(worker.poll(), log.read_text())
            worker.terminate()
            self.assertEqual(worker.wait(DEADLINE), 0, log.read_text())


def wait(condition) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not in time")
        time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()
