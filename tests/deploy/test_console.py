"""The review console on Kubernetes: what the component brings agrees with its settings, the network and the documents."""

import tomllib
import unittest

from workplace import ROOT, Manifests, matches


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manifests = Manifests("production")
        cls.template = cls.manifests.pods()["assay-console"]
        cls.container = cls.template["spec"]["containers"][0]
        cls.settings = tomllib.loads((ROOT / "deploy" / "k8s" / "overlays" / "production" / "console.toml").read_text())

    def test_it_comes_with_its_component_alone(self):
        self.assertFalse(Manifests("gpu").has("Deployment", "assay-console"))

    def test_selectors_find_its_pods_and_no_others(self):
        labels = self.template["metadata"]["labels"]
        others = [template["metadata"]["labels"] for name, template in self.manifests.pods().items() if name != "assay-console"]
        for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor", "Service"):
            selector = self.manifests.sole(kind, "assay-console")["spec"]["selector"]
            selector = {"matchLabels": selector} if kind == "Service" else selector
            with self.subTest(kind=kind):
                self.assertTrue(matches(selector, labels))
                self.assertFalse(any(matches(selector, other) for other in others))
        policy = self.manifests.sole("NetworkPolicy", "assay-console")["spec"]["podSelector"]
        self.assertTrue(matches(policy, labels) and not any(matches(policy, other) for other in others))

    def test_ports_are_those_that_it_listens_at(self):
        listens = {name: int(self.settings["console"][key].rpartition(":")[2]) for name, key in [("http", "listen"), ("admin", "admin")]}
        self.assertEqual({port["name"]: port["containerPort"] for port in self.container["ports"]}, listens)
        self.assertEqual(self.manifests.sole("Service", "assay-console")["spec"]["ports"][0]["targetPort"], "http")
        probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
        for probe, path in probes.items():
            asked = self.container[probe]["httpGet"]
            self.assertEqual((asked["path"], asked["port"]), (path, "admin"))
        endpoint = self.manifests.sole("PodMonitor", "assay-console")["spec"]["podMetricsEndpoints"][0]
        self.assertEqual((endpoint["port"], endpoint["path"]), ("admin", "/metrics"))
        # The pages are the ingress's; nothing but Prometheus comes to the other port.
        opened = [rule["ports"] for rule in self.manifests.sole("NetworkPolicy", "assay-console")["spec"]["ingress"]]
        self.assertEqual(opened, [[{"port": "http"}]])

    def test_a_pod_has_longer_to_end_than_its_process_takes(self):
        self.assertGreaterEqual(self.template["spec"]["terminationGracePeriodSeconds"], self.settings["worker"]["grace_s"] + 10)

    def test_the_secret_of_the_issuer_lies_where_the_settings_look_for_it(self):
        mount = next(mount for mount in self.container["volumeMounts"] if mount["name"] == "secrets")
        volume = next(volume for volume in self.template["spec"]["volumes"] if volume["name"] == "secrets")["secret"]
        path = f"{mount['mountPath']}/{volume['items'][0]['path']}"
        self.assertEqual(self.settings["access"]["oidc"]["client_secret_file"], path)
        # The process is of the group that may read it, and of no other.
        self.assertEqual(volume["defaultMode"], 0o440)
        self.assertEqual(self.template["spec"]["securityContext"]["fsGroup"], self.template["spec"]["securityContext"]["runAsGroup"])

    def test_people_come_back_to_the_address_that_they_opened(self):
        self.assertEqual(self.settings["access"]["oidc"]["redirect_url"], self.settings["console"]["public_url"] + "/login/callback")
        roles = self.settings["access"]["roles"]
        self.assertTrue(all({"group", "role", "tenants"} == role.keys() for role in roles) and roles)


if __name__ == "__main__":
    unittest.main()
