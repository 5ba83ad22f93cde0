"""What operators are told: that it names commands, files, metrics' alerts and settings that there are."""

import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

from workplace import K8S, ROOT, TOOLS, assay

import yaml

import test_schemas

OPERATORS = ROOT / "docs" / "operators.md"
DOCUMENTS = [OPERATORS, K8S / "README.md", ROOT / "docs" / "adr" / "0012-deployment.md"]
ALERTS = ROOT / "deploy" / "observability" / "alerts.yaml"


def code(text: str) -> str:
    """What stands in blocks and between backticks."""
    return "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))


class Documents(unittest.TestCase):
    def test_every_alert_has_its_entry_in_the_runbook(self):
        entries = re.findall(r"^### (Assay\w+)$", OPERATORS.read_text(), re.MULTILINE)
        self.assertGreaterEqual(len(entries), 9)
        if ALERTS.exists():
            rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
            self.assertEqual(sorted(entries), sorted(rule["alert"] for rule in rules if "alert" in rule))

    def test_every_entry_says_what_it_means_where_to_look_and_what_to_do(self):
        for entry in OPERATORS.read_text().split("\n### ")[1:]:
            positions = [entry.find(word) for word in ("**Means**", "**Look**", "**Do**")]
            self.assertTrue(-1 not in positions and positions == sorted(positions), entry.splitlines()[0])

    def test_every_command_is_one_of_the_binarys(self):
        helps = {command: assay(*command.split(), "--help").stdout for command in ("", "dead", "model")}
        actions = {command: re.findall(r"^  (\w+) ", text, re.MULTILINE) for command, text in helps.items()}
        for document in DOCUMENTS:
            used = re.findall(r"(?<!namespace )(?<![\w/:-])assay ([a-z]+)(?: ([a-z]+))?", code(document.read_text()))
            for command, action in used:
                with self.subTest(document=document.name, command=command, action=action):
                    self.assertIn(command, actions[""])
                    self.assertIn(action, ["", *actions.get(command, [action])])

    def test_kubectl_takes_every_command_that_makes_something(self):
        text = (K8S / "README.md").read_text().replace("\\\n", " ")
        commands = re.findall(r"^kubectl create .*$", text, re.MULTILINE)
        self.assertEqual(len(commands), 7)
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "authority.pem").write_text("an authority")
            for command in commands:
                words = [str(TOOLS / "bin" / "kubectl"), *shlex.split(command)[1:], "--dry-run=client", "--output=yaml"]
                done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env={"HOME": folder})
                self.assertEqual(done.returncode, 0, done.stderr)
                test_schemas.validate(yaml.safe_load(done.stdout))

    def test_every_key_is_in_the_defaults(self):
        defaults = (ROOT / "configs" / "default.toml").read_text()
        for document in DOCUMENTS:
            text = code(document.read_text())
            for section, key in re.findall(r"ASSAY__([A-Z]+)__([A-Z]+(?:_[A-Z]+)*)", text):
                if section != "SECTION":
                    self.assertRegex(defaults, rf"(?ms)^\[{section.lower()}\].*^{key.lower()} = ", document.name)

    def test_every_link_leads_to_a_file(self):
        for document in DOCUMENTS:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
                self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")

    def test_every_image_and_file_of_the_manifests_that_is_named_is_there(self):
        for name in re.findall(r"`((?:base|overlays)/[\w./-]+)`", (K8S / "README.md").read_text()):
            self.assertTrue((K8S / name).exists(), name)


if __name__ == "__main__":
    unittest.main()
