#!/usr/bin/env python3
"""Writes the alerts as an object of the Prometheus operator: prometheus_rule.yaml, made of alerts.yaml.

  deploy/observability/prometheus_rule.py                                          after a change of alerts.yaml
  deploy/observability/prometheus_rule.py --documents https://wiki.example/assay/  so that an alert links to your runbook
  deploy/observability/prometheus_rule.py --check                                  whether the two say the same; for the tests
"""

import argparse
import pathlib
import sys
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
RULES, OBJECT = HERE / "alerts.yaml", HERE / "prometheus_rule.yaml"
# What stands before "docs/…" in a link to the runbook.
LINK = "runbook_url: "
HEAD = """\
# Made of alerts.yaml by prometheus_rule.py: change that and run this.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: assay
spec:
"""


def prometheus_rule(rules: str, documents: str) -> str:
    """The object around the groups of a rules file; links to the runbook begin with the address of the documents."""
    groups = rules[rules.index("groups:"):].replace(LINK + "docs/", f"{LINK}{documents}docs/")
    return HEAD + textwrap.indent(groups, "  ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="", metavar="URL",
                        help="address under which this repository's docs/ can be read, with its last slash; as it is, links are relative")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the file is older than alerts.yaml")
    options = parser.parse_args()
    if options.documents and not options.documents.endswith("/"):
        parser.error(f"--documents {options.documents}: it needs a slash at its end, for docs/operators.md follows")
    wanted = prometheus_rule(RULES.read_text(), options.documents)
    if not options.check:
        OBJECT.write_text(wanted)
    elif not OBJECT.exists() or OBJECT.read_text() != wanted:
        sys.exit(f"{OBJECT.name} is not what alerts.yaml makes: run deploy/observability/prometheus_rule.py")


if __name__ == "__main__":
    main()
