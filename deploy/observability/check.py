#!/usr/bin/env python3
"""Prometheus' own opinion of the alerts, their unit tests, the example and every query of the dashboard.

Takes promtool from the PATH. Where there is none it is taken out of Debian's package, which is not installed for it: that
would bring a service along.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
KEPT = HERE.parent.parent / ".local" / "promtool"
# What Grafana puts in place of its variables.
VARIABLES = {"$__rate_interval": "5m", "$job": ".+", "$prefix": "assay"}


def promtool() -> str:
    """Its path; unpacked into .local/ where the machine has none."""
    found = shutil.which("promtool")
    if found:
        return found
    if not KEPT.exists():
        unpack()
    return str(KEPT)


def unpack() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        sys.exit("observability-check needs promtool, which comes with Prometheus: install that, or put promtool on the PATH")
    print("taking promtool out of Debian's package prometheus (19 MB)", flush=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent if KEPT.parent.exists() else None) as scratch:
        download = ["apt-get", "-qq", "download", "prometheus"]
        done = subprocess.run(download, cwd=scratch, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"apt-get could not download prometheus; does `apt-get update` help?\n{done.stderr.strip()}")
        (package,) = pathlib.Path(scratch).glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(package), scratch + "/root"], check=True)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch + "/root/usr/bin/promtool", KEPT)


def queries(node: object) -> list[str]:
    """Every PromQL expression of the dashboard."""
    if isinstance(node, dict):
        own = [node["expr"]] if isinstance(node.get("expr"), str) else []
        return own + [query for value in node.values() for query in queries(value)]
    if isinstance(node, list):
        return [query for item in node for query in queries(item)]
    return []


def main() -> None:
    tool = promtool()
    dashboard = json.loads((HERE / "dashboard.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        sys.exit("dashboard.json: two panels have the same id")
    rules = []
    for number, query in enumerate(queries(dashboard)):
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)
        if "$" in query:
            sys.exit(f"dashboard.json: a variable that nobody fills in: {query}")
        rules.append({"record": f"dashboard:query:{number}", "expr": query})
    with tempfile.TemporaryDirectory() as scratch:
        # JSON is YAML too.
        as_rules = pathlib.Path(scratch) / "dashboard.rules.json"
        as_rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml", "alerts_slow_test.yaml"],
                        ["check", "config", "prometheus.example.yaml"], ["check", "rules", str(as_rules)]):
            done = subprocess.run([tool, *command], cwd=HERE, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"promtool {' '.join(command)}:\n{done.stdout}{done.stderr}")
    subprocess.run([sys.executable, HERE / "prometheus_rule.py", "--check"], check=True)
    print(f"observability: alerts, their tests and {len(rules)} queries of the dashboard are well formed")


if __name__ == "__main__":
    main()
