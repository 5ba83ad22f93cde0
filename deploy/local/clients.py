"""Python's clients of the three servers, for programs that look at the worker from outside: installed into a folder of
their own, and told where the servers are."""

import pathlib
import subprocess
import sys

from process import Trouble

PACKAGES = ["boto3==1.44.5", "pika==1.4.4", "psycopg[binary]==3.3.9"]


def run(command: list, title: str, **options) -> str:
    """What a command prints; Trouble with its last words if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise Trouble("\n".join([f"{title} failed (exit code {done.returncode}):", *(f"    {line}" for line in words)]))
    return done.stdout


def pip(*arguments) -> None:
    common = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    verb, *rest = arguments
    run([sys.executable, "-m", "pip", verb, *common, *rest], f"pip {verb} {rest[-1]}")


def install(parent: pathlib.Path, packages: list[str] = PACKAGES) -> pathlib.Path:
    """The folder below `parent` that holds the packages for this Python; filled the first time."""
    folder = parent / f"python{sys.version_info.major}.{sys.version_info.minor}"
    complete = folder / "complete"
    wanted = "\n".join(packages)
    if not (complete.exists() and complete.read_text() == wanted):
        pip("install", "--upgrade", "--root-user-action=ignore", "--target", folder, *packages)
        complete.write_text(wanted)
    return folder


def npm_ci(folder: pathlib.Path) -> None:
    """What the folder's package-lock.json asks for, in its node_modules; nothing of it is run. Costs nothing the second time."""
    lock = (folder / "package-lock.json").read_text()
    complete = folder / "node_modules" / "complete"
    if not (complete.exists() and complete.read_text() == lock):
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], f"npm ci in {folder}", cwd=folder)
        complete.write_text(lock)


def settings(env: pathlib.Path) -> dict[str, str]:
    """The servers' addresses and keys, as `servers.py up` wrote them."""
    pairs = (line.removeprefix("export ").partition("=") for line in env.read_text().splitlines())
    return {name: value.strip("'") for name, _, value in pairs}


def bucket_client(environment: dict[str, str]):
    """boto3's client of the S3 server."""
    import boto3
    import botocore.config

    return boto3.client(
        "s3", endpoint_url=environment["ASSAY__OBJECTS__ENDPOINT"], region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"], aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(s3={"addressing_style": "path"}))
