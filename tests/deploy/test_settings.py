"""What the manifests set, by the binary's own reading of it."""

import copy
import json
import os
import pathlib
import re
import tempfile
import tomllib
import unittest

from workplace import OVERLAYS, ROOT, Manifests, assay

# Peak of the engine, of docs/performance.md: "our engine 567".
ENGINE = 567e6 / 2**20
# What a secret may hold, at an address where nobody listens.
SECRETS = {
    "broker-url": "amqps://user:word@127.0.0.1:1/assay",
    "database-url": "postgres://user:word@127.0.0.1:1/assay?sslmode=verify-full",
    "aws-access-key-id": "id",
    "aws-secret-access-key": "key",
}


def mounted_config(manifests: Manifests, pod: dict, container: dict) -> str:
    """The file at ASSAY_CONFIG, from the ConfigMap that is mounted there."""
    path = pathlib.PurePosixPath(next(entry["value"] for entry in container["env"] if entry["name"] == "ASSAY_CONFIG"))
    mount = next(mount for mount in container["volumeMounts"] if mount["mountPath"] == str(path.parent))
    volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    return manifests.sole("ConfigMap", volume["configMap"]["name"])["data"][path.name]


def environment(manifests: Manifests, container: dict) -> dict[str, str]:
    found = {}
    for source in container.get("envFrom", []):
        found |= manifests.sole("ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container["env"]:
        found[entry["name"]] = entry["value"] if "value" in entry else SECRETS[entry["valueFrom"]["secretKeyRef"]["key"]]
    return found


def doctor(config: str, variables: dict[str, str]):
    """Ends with 2 at once if the configuration is refused, and with 3 here, since no server is there."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "AWS_"))}
        return assay("doctor", "--json", env=kept | variables | {"ASSAY_CONFIG": file.name})


def finding(done, subject: str) -> dict:
    return next(check for check in json.loads(done.stdout)["checks"] if check["subject"] == subject)


def mebibytes(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


class Settings(unittest.TestCase):
    def test_the_binary_takes_every_setting_of_every_container(self):
        for overlay in OVERLAYS:
            manifests = Manifests(overlay)
            for name, pod, container in manifests.containers():
                with self.subTest(overlay=overlay, object=name, container=container["name"]):
                    done = doctor(mounted_config(manifests, pod, container), environment(manifests, container))
                    self.assertEqual(done.returncode, 3, done.stderr + done.stdout)
                    self.assertTrue(finding(done, "configuration")["ok"])
                    self.assertTrue(finding(done, "decoder")["ok"])

    def test_a_key_that_is_none_of_ours_is_refused(self):
        manifests = Manifests("gpu")
        _, pod, container = manifests.containers()[0]
        config, variables = mounted_config(manifests, pod, container), environment(manifests, container)
        for file, more in [(config + "\ngrace = 1\n", {}), (config, {"ASSAY__WORKER__GRACE": "1"})]:
            done = doctor(file, variables | more)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("grace", done.stderr)

    def test_every_variable_is_ours_or_the_clouds(self):
        for overlay in OVERLAYS:
            manifests = Manifests(overlay)
            for _, _, container in manifests.containers():
                for variable in environment(manifests, container):
                    self.assertRegex(variable, r"^(ASSAY__[A-Z]+__[A-Z_]+|ASSAY_CONFIG|AWS_[A-Z_]+)$")

    def test_a_workers_memory_holds_the_engine_and_the_bound_of_all_else(self):
        for overlay in OVERLAYS:
            manifests = Manifests(overlay)
            pod = manifests.pods()["assay-worker"]["spec"]
            worker = pod["containers"][0]
            done = doctor(mounted_config(manifests, pod, worker), environment(manifests, worker))
            bound = int(re.search(r"at most (\d+) MiB", finding(done, "configuration")["detail"])[1])
            limit = mebibytes(worker["resources"]["limits"]["memory"])
            self.assertGreaterEqual(limit, bound + ENGINE, f"{overlay}: the bound is {bound} MiB")

    def test_a_worker_on_processors_has_as_many_threads_as_it_asks_for_cores(self):
        manifests = Manifests("cpu")
        worker = manifests.pods()["assay-worker"]["spec"]["containers"][0]
        variables, cores = environment(manifests, worker), worker["resources"]["requests"]["cpu"]
        self.assertEqual((variables["ASSAY__DETECTOR__THREADS"], variables["ASSAY__WORKER__DECODE_THREADS"]), (cores, cores))

    def test_the_config_map_is_configs_production_toml(self):
        text = (ROOT / "configs" / "production.toml").read_text()
        for overlay in OVERLAYS:
            maps = [entry["data"] for entry in Manifests(overlay).of("ConfigMap") if "production.toml" in entry["data"]]
            self.assertEqual(maps, [{"production.toml": text}])

    def test_production_says_only_what_it_changes(self):
        defaults = tomllib.loads((ROOT / "configs" / "default.toml").read_text())
        for section, values in tomllib.loads((ROOT / "configs" / "production.toml").read_text()).items():
            for key, value in copy.deepcopy(values).items():
                self.assertNotEqual(defaults[section][key], value, f"{section}.{key} is the default")


if __name__ == "__main__":
    unittest.main()
