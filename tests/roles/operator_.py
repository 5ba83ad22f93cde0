"""What those who run it look at and do: the runbook's first commands, the results queue, the port for submissions.

That the pods of deploy/k8s start with their own environment is shown by tests/deploy, that the alerts parse and fire by
deploy/observability/check.py."""

import os
import subprocess

DOCUMENTS = ["docs/operators.md"]


def prepare(place) -> list[tuple[str, str]]:
    # As after a deployment: the tables, and queues that are declared.
    for command in ("migrate", "doctor"):
        subprocess.run([place.binary, command], env=os.environ | place.variables(), cwd=place.folder, check=True, stdout=subprocess.DEVNULL)
    control = f"python3 {place.control} ctl --dir {place.servers} delete_queue --vhost /"
    return [
        ("assay results --json >", "assay results --json --timeout 1 >"),
        ("rabbitmqctl delete_queue --vhost assay --if-empty assay.results", f"{control} --if-empty {place.schema}.results"),
        # It is asked until it answers, and then stopped.
        ("assay api &", "assay api &\ncurl --silent --retry 100 --retry-connrefused --retry-delay 1 http://127.0.0.1:9465/livez; kill %1"),
    ]


def outcome(place) -> str:
    return "every command of the runbook ends well"
