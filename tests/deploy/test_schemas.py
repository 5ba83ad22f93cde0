"""Every manifest against the schema of those who read it."""

import unittest

from workplace import OVERLAYS, Manifests

# The oldest that KEDA 2.18 asks for, and the newest that there is.
KUBERNETES = ["1.31", "1.37"]


def validate(manifest: dict) -> None:
    """Raises where the API server would refuse it or warn of an unknown field."""
    group = manifest["apiVersion"].rpartition("/")[0]
    if group == "keda.sh":
        from cloudcoil.models.keda import v1alpha1 as models
    elif group == "monitoring.coreos.com":
        from cloudcoil.models.prometheus_operator import v1 as models
    else:
        import kubernetes_validate

        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    read = getattr(models, manifest["kind"]).model_validate(manifest)
    # These models pass over what they don't know: what they know must be all that was said.
    understood = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if understood != manifest:
        raise ValueError(f"{manifest['kind']} has fields that its schema doesn't: {manifest} was understood as {understood}")


class Schemas(unittest.TestCase):
    def test_every_manifest_keeps_to_its_schema(self):
        for overlay in OVERLAYS:
            manifests = Manifests(overlay).all
            self.assertGreaterEqual(len(manifests), 14)
            for manifest in manifests:
                with self.subTest(overlay=overlay, kind=manifest["kind"], name=manifest["metadata"]["name"]):
                    validate(manifest)

    def test_a_misspelt_field_is_refused_in_every_kind(self):
        for manifest in Manifests("production").all:
            spoiled = manifest.get("spec", manifest)
            spoiled["mispelt"] = 1
            with self.subTest(kind=manifest["kind"]), self.assertRaises(Exception):
                validate(manifest)

    def test_a_value_of_the_wrong_type_is_refused(self):
        for kind, key in [("ScaledObject", "pollingInterval"), ("ServiceMonitor", "endpoints"), ("CronJob", "timeZone")]:
            manifest = Manifests("gpu").of(kind)[0]
            manifest["spec"][key] = {"not": "this"}
            with self.subTest(kind=kind), self.assertRaises(Exception):
                validate(manifest)


if __name__ == "__main__":
    unittest.main()
