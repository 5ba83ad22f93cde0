"""That the manifests agree with each other, with the code and with what is told of them."""

import re
import tomllib
import unittest

from workplace import K8S, OVERLAYS, ROOT, Manifests, assay, matches

import yaml

PRODUCTION = tomllib.loads((ROOT / "configs" / "production.toml").read_text())
DEFAULTS = tomllib.loads((ROOT / "configs" / "default.toml").read_text())
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# What KEDA's scaler of this type reads; its schema takes anything.
RABBITMQ = {
    "activationValue", "excludeUnacknowledged", "host", "hostFromEnv", "mode", "operation", "pageSize", "passwordFromEnv",
    "protocol", "queueName", "timeout", "unsafeSsl", "useRegex", "usernameFromEnv", "value", "vhostName",
}  # fmt: skip


def each(test):
    """Runs a test for every overlay."""

    def all_overlays(self):
        for overlay in OVERLAYS:
            with self.subTest(overlay=overlay):
                test(self, Manifests(overlay), overlay)

    all_overlays.__name__ = test.__name__
    return all_overlays


class Agreement(unittest.TestCase):
    @each
    def test_everything_is_in_one_namespace(self, manifests, overlay):
        name = "assay-cell-1" if overlay == "cell" else "assay"
        for manifest in manifests.all:
            if manifest["kind"] == "Namespace":
                self.assertEqual(manifest["metadata"]["name"], name)
            else:
                self.assertEqual(manifest["metadata"].get("namespace"), name, manifest["kind"])

    @each
    def test_selectors_find_the_pods_that_they_mean(self, manifests, overlay):
        pods = {name: template["metadata"]["labels"] for name, template in manifests.pods().items()}
        worker = pods.pop("assay-worker")
        budget = manifests.sole("PodDisruptionBudget", "assay-worker")["spec"]["selector"]
        service = {"matchLabels": manifests.sole("Service", "assay-worker")["spec"]["selector"]}
        for selector in (manifests.sole("Deployment", "assay-worker")["spec"]["selector"], budget, service):
            self.assertTrue(matches(selector, worker))
            self.assertFalse(any(matches(selector, other) for other in pods.values()))
        policy = manifests.sole("NetworkPolicy", "assay")["spec"]["podSelector"]
        self.assertTrue(all(matches(policy, labels) for labels in [worker, *pods.values()]))

    @each
    def test_prometheus_finds_the_port_by_the_service(self, manifests, overlay):
        service, monitor = manifests.sole("Service", "assay-worker"), manifests.sole("ServiceMonitor", "assay-worker")
        self.assertTrue(matches(monitor["spec"]["selector"], service["metadata"]["labels"]))
        ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
        worker = manifests.pods()["assay-worker"]["spec"]["containers"][0]
        names = [port["name"] for port in worker["ports"]]
        for endpoint in monitor["spec"]["endpoints"]:
            self.assertIn(ports[endpoint["port"]], names)
            self.assertIn(endpoint["path"], self.routes())

    def routes(self) -> list[str]:
        return re.findall(r'\.route\("(/\w+)"', (ROOT / "src" / "admin.rs").read_text())

    @each
    def test_probes_ask_what_the_admin_port_answers(self, manifests, overlay):
        worker = manifests.pods()["assay-worker"]["spec"]["containers"][0]
        listens = int(PRODUCTION["admin"]["listen"].rpartition(":")[2])
        self.assertEqual([port["containerPort"] for port in worker["ports"]], [listens])
        for probe, path in {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}.items():
            asked = worker[probe]["httpGet"]
            self.assertEqual((asked["path"], asked["port"]), (path, worker["ports"][0]["name"]))
            self.assertIn(asked["path"], self.routes())

    @each
    def test_a_pod_has_longer_to_end_than_its_worker_takes(self, manifests, overlay):
        pod = manifests.pods()["assay-worker"]["spec"]
        self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], PRODUCTION["worker"]["grace_s"] + 10)
        # A stuck worker is told from a slow one by the worker, not by an impatient probe.
        probe = pod["containers"][0]["livenessProbe"]
        self.assertLess(probe["periodSeconds"] * probe["failureThreshold"], DEFAULTS["worker"]["stuck_after_s"])

    @each
    def test_a_roll_out_takes_no_card_more_and_one_worker_at_a_time(self, manifests, overlay):
        deployment = manifests.sole("Deployment", "assay-worker")["spec"]
        self.assertEqual(deployment["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        self.assertNotIn("replicas", deployment, "KEDA says how many")
        self.assertEqual(manifests.sole("PodDisruptionBudget", "assay-worker")["spec"]["maxUnavailable"], 1)

    @each
    def test_every_container_runs_without_rights(self, manifests, overlay):
        for name, pod, container in manifests.containers(ours=False):
            self.assertEqual(container["securityContext"], {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
            strict = pod["securityContext"]
            self.assertTrue(strict["runAsNonRoot"] and strict["runAsUser"] >= 10000, name)
            self.assertEqual(strict["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse(pod["automountServiceAccountToken"])
            for host in ("hostNetwork", "hostPID", "hostIPC"):
                self.assertNotIn(host, pod)
            self.assertFalse([volume for volume in pod["volumes"] if "hostPath" in volume])

    @each
    def test_every_container_says_what_it_needs(self, manifests, overlay):
        for name, _, container in manifests.containers(ours=False):
            resources = container["resources"]
            self.assertIn("memory", resources["limits"], name)
            self.assertTrue({"cpu", "memory"} <= resources["requests"].keys(), name)
        cards = [resources["limits"].get("nvidia.com/gpu") for resources in
                 (manifests.pods()[name]["spec"]["containers"][0]["resources"] for name in ("assay-worker", "assay-retrain"))]
        self.assertEqual(cards, [None, None] if overlay == "cpu" else [1, 1])

    @each
    def test_all_containers_run_one_image_of_this_version(self, manifests, overlay):
        images = {container["image"] for _, _, container in manifests.containers()}
        name = "registry.example.com/platform/assay" if overlay == "production" else "assay"
        self.assertEqual(images, {f"{name}:{VERSION}-{'cpu' if overlay == 'cpu' else 'cuda'}"})

    @each
    def test_every_command_is_one_of_the_binarys(self, manifests, overlay):
        commands = set(re.findall(r"^  (\w+) ", assay("--help").stdout, re.MULTILINE))
        for name, _, container in manifests.containers():
            self.assertIn(container["args"][0], commands)
            # What is not of the help is no subcommand either.
            self.assertEqual(assay(*container["args"], "--help").returncode, 0, name)
            self.assertFalse([word for word in container["args"] if word.startswith("-")], name)

    @each
    def test_every_name_leads_somewhere(self, manifests, overlay):
        deployment, scaled = manifests.sole("Deployment", "assay-worker"), manifests.sole("ScaledObject")
        self.assertEqual(scaled["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
        account, claims = manifests.sole("ServiceAccount")["metadata"]["name"], manifests.of("PersistentVolumeClaim")
        for template in manifests.pods().values():
            self.assertEqual(template["spec"]["serviceAccountName"], account)
            for volume in template["spec"]["volumes"]:
                if "persistentVolumeClaim" in volume:
                    self.assertIn(volume["persistentVolumeClaim"]["claimName"], [claim["metadata"]["name"] for claim in claims])
        for _, pod, container in manifests.containers():
            volumes = {volume["name"] for volume in pod["volumes"]}
            self.assertTrue({mount["name"] for mount in container["volumeMounts"]} <= volumes)

    @each
    def test_the_queues_that_it_is_scaled_by_are_the_workers(self, manifests, overlay):
        scaled, trigger_auth = manifests.sole("ScaledObject")["spec"], manifests.sole("TriggerAuthentication")
        # Kustomize adds a digest to the name.
        named = next(one["data"] for one in manifests.of("ConfigMap") if one["metadata"]["name"].startswith("assay-names-"))
        prefix = named.get("ASSAY__BROKER__PREFIX", PRODUCTION["broker"].get("prefix", DEFAULTS["broker"]["prefix"]))
        measured = set()
        for trigger in scaled["triggers"]:
            self.assertEqual(trigger["type"], "rabbitmq")
            self.assertTrue(trigger["metadata"].keys() <= RABBITMQ, trigger)
            # KEDA has rates, and what is not acknowledged yet, only from the management API.
            self.assertEqual(trigger["metadata"]["protocol"], "http")
            self.assertEqual(trigger["authenticationRef"]["name"], trigger_auth["metadata"]["name"])
            measured.add((trigger["metadata"]["queueName"], trigger["metadata"]["mode"]))
        queues = [f"{prefix}.images", f"{prefix}.images.bulk"]
        self.assertEqual(measured, {(queue, mode) for queue in queues for mode in ("QueueLength", "DeliverGetRate")})

    @each
    def test_the_expected_time_is_computed_from_all_triggers(self, manifests, overlay):
        scaled = manifests.sole("ScaledObject")["spec"]
        modifiers = scaled["advanced"]["scalingModifiers"]
        # The number has a point, so that both arms are of the type that KEDA asks of a formula.
        shape = r"\(live \+ bulk\) / \(live_rate \+ bulk_rate > (\d+\.0) \? live_rate \+ bulk_rate : \1\)"
        self.assertRegex(modifiers["formula"], f"^{shape}$")
        self.assertEqual({trigger["name"] for trigger in scaled["triggers"]}, {"live", "bulk", "live_rate", "bulk_rate"})
        # Empty queues give 0, which is not above the activation: that is what lets it go to zero.
        self.assertEqual((modifiers["metricType"], modifiers["activationTarget"]), ("Value", "0"))
        self.assertEqual(scaled["minReplicaCount"], 1 if overlay == "production" else 0)
        self.assertGreater(scaled["maxReplicaCount"], scaled["minReplicaCount"])

    @each
    def test_a_retraining_reaches_the_gateway_that_prometheus_asks(self, manifests, overlay):
        gateway, service = manifests.pods()["assay-pushgateway"], manifests.sole("Service", "assay-pushgateway")
        job = manifests.pods()["assay-retrain"]
        told = {entry["name"]: entry.get("value") for entry in job["spec"]["containers"][0]["env"]}["ASSAY__RETRAIN__PUSHGATEWAY"]
        self.assertEqual(told, f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}")
        labels = gateway["metadata"]["labels"]
        self.assertTrue(matches({"matchLabels": service["spec"]["selector"]}, labels))
        listens = gateway["spec"]["containers"][0]["ports"][0]
        self.assertEqual(service["spec"]["ports"][0]["targetPort"], listens["name"])
        out = manifests.sole("NetworkPolicy", "assay-retrain")["spec"]
        self.assertTrue(matches(out["podSelector"], job["metadata"]["labels"]))
        way = out["egress"][0]
        self.assertTrue(matches(way["to"][0]["podSelector"], labels))
        self.assertEqual(way["ports"], [{"port": listens["containerPort"]}])
        into = manifests.sole("NetworkPolicy", "assay-pushgateway")["spec"]
        self.assertTrue(matches(into["podSelector"], labels))
        self.assertTrue(matches(into["ingress"][0]["from"][0]["podSelector"], job["metadata"]["labels"]))
        monitor = manifests.sole("ServiceMonitor", "assay-pushgateway")["spec"]
        self.assertTrue(matches(monitor["selector"], service["metadata"]["labels"]) and monitor["endpoints"][0]["honorLabels"])

    @each
    def test_alerts_and_dashboard_are_those_of_the_observability_folder(self, manifests, overlay):
        folder = ROOT / "deploy" / "observability"
        rules = yaml.safe_load((folder / "alerts.yaml").read_text())
        self.assertEqual(manifests.sole("PrometheusRule")["spec"], {"groups": rules["groups"]})
        dashboard = manifests.sole("ConfigMap", "assay-dashboard")
        self.assertEqual(dashboard["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(dashboard["data"], {"dashboard.json": (folder / "dashboard.json").read_text()})

    @each
    def test_one_job_of_a_kind_at_a_time_ends_in_time(self, manifests, overlay):
        crons = {cron["metadata"]["name"]: cron["spec"] for cron in manifests.of("CronJob")}
        self.assertEqual(crons.keys(), {"assay-retrain", "assay-maintain"})
        for name, period in {"assay-retrain": 7 * 86400, "assay-maintain": 86400}.items():
            cron = crons[name]
            self.assertEqual((cron["concurrencyPolicy"], cron["timeZone"]), ("Forbid", "Etc/UTC"))
            self.assertLess(cron["jobTemplate"]["spec"]["activeDeadlineSeconds"], period)
            self.assertTrue({"startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"} <= cron.keys())

    @each
    def test_the_readme_makes_every_secret_that_is_referred_to(self, manifests, overlay):
        made = {}
        text = (K8S / "README.md").read_text().replace("\\\n", " ")
        for name, rest in re.findall(r"^kubectl create secret generic (?:--namespace assay )?(\S+)(.*)$", text, re.MULTILINE):
            made[name] = set(re.findall(r"--from-(?:literal|file)=([\w.-]+)=", rest))
        wanted = {"assay-ca": {"ca.crt"}}
        for _, pod, container in manifests.containers():
            for entry in container["env"]:
                if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                    wanted.setdefault(reference["name"], set()).add(reference["key"])
            for volume in pod["volumes"]:
                if "secret" in volume:
                    self.assertIn(volume["secret"]["secretName"], made)
                    keys = {item["key"] for item in volume["secret"].get("items", [])}
                    wanted.setdefault(volume["secret"]["secretName"], set()).update(keys)
        for reference in manifests.sole("TriggerAuthentication")["spec"]["secretTargetRef"]:
            wanted.setdefault(reference["name"], set()).add(reference["key"])
        if not manifests.has("Deployment", "assay-console"):
            del made["assay-console"]
        self.assertEqual(made, wanted)


if __name__ == "__main__":
    unittest.main()
