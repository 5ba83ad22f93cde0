"""PostgreSQL: one cluster of our own on loopback, without a socket in the file system, with fsync left on."""

import pathlib
import shutil
import signal
import socket
import struct
import subprocess

from certificates import HOST, Certificates
from process import Owner, Server, Trouble

USER = PASSWORD = DATABASE = "assay"


class Postgres(Server):
    name = "postgres"
    title = "PostgreSQL"
    # SIGTERM would wait for every client to leave of its own accord.
    stop_signal = signal.SIGINT
    tries = 10

    def __init__(self, data: pathlib.Path, who: Owner, base_port: int, certificates: Certificates):
        super().__init__(data, who)
        self.port = base_port + 3
        self.cluster = data / "cluster"
        self.certificates = certificates

    @property
    def url(self) -> str:
        """Plain: on loopback, TLS would only cost time."""
        return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}?sslmode=disable"

    @property
    def tls_url(self) -> str:
        verified = f"sslmode=verify-full&sslrootcert={self.certificates.authority}"
        return f"postgres://{USER}:{PASSWORD}@{HOST}:{self.port}/{DATABASE}?{verified}"

    def ports(self) -> dict[str, int]:
        return {"PostgreSQL": self.port}

    def prepare(self) -> None:
        """A cluster is built aside and takes its name only when it is whole."""
        if self.cluster.exists():
            return
        unfinished = self.data / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        self.who.take(unfinished, 0o700)
        password = self.data / "password"
        password.write_text(PASSWORD)
        self._run(["initdb", "--pgdata", str(unfinished), "--username=postgres", f"--pwfile={password}",
                   "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        self._run(["postgres", "--single", "-D", str(unfinished), "postgres"],
                  f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n")
        unfinished.rename(self.cluster)

    def launch(self) -> None:
        settings = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-c", "log_checkpoints=off", "-c", "ssl=on",
                    "-c", f"ssl_cert_file={self.certificates.certificate}", "-c", f"ssl_key_file={self.certificates.key}"]
        self.process.start([str(programs() / "postgres"), "-D", str(self.cluster), *settings],
                           {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, self.data, self.log, self.who)

    def ask(self) -> None:
        """Begins to log in. A server that is still recovering answers with an error instead of a challenge."""
        who = b"user\0" + USER.encode() + b"\0database\0" + DATABASE.encode() + b"\0\0"
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
            wire.sendall(struct.pack(">II", 8 + len(who), 3 << 16) + who)
            if wire.recv(1) != b"R":
                raise ValueError("PostgreSQL doesn't take connections yet")

    def _run(self, command: list[str], text: str = "") -> None:
        command[0] = str(programs() / command[0])
        done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=self.data,
                              env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, **self.who.identity())
        if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            raise Trouble(f"{command[0]} failed:\n{done.stderr.strip() or done.stdout.strip()}")


def programs() -> pathlib.Path:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        raise Trouble("PostgreSQL isn't installed: no /usr/lib/postgresql/*/bin/initdb")
    return found[-1].parent


def version() -> str:
    done = subprocess.run([programs() / "postgres", "--version"], capture_output=True, text=True)
    return done.stdout.split()[2] if done.returncode == 0 else "?"


def installed() -> bool:
    return any(pathlib.Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb"))
