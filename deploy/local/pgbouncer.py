"""PgBouncer before our PostgreSQL, in transaction mode: for the tests of what poolers do to connections."""

import pathlib
import socket
import struct

import postgres
from process import Owner, Server

PROGRAM = pathlib.Path("/usr/sbin/pgbouncer")


class PgBouncer(Server):
    name = "pgbouncer"
    title = "PgBouncer"

    def __init__(self, data: pathlib.Path, who: Owner, base_port: int, behind: postgres.Postgres):
        super().__init__(data, who)
        # Beyond the ports of the others.
        self.port = base_port + 20
        self.behind = behind
        self.settings = data / "pgbouncer.ini"

    @property
    def url(self) -> str:
        return self.behind.url.replace(f":{self.behind.port}/", f":{self.port}/")

    def ports(self) -> dict[str, int]:
        return {"PgBouncer": self.port}

    def prepare(self) -> None:
        users = self.data / "users.txt"
        users.write_text(f'"{postgres.USER}" "{postgres.PASSWORD}"\n')
        # Few connections, so that clients meet what others left on them. No startup parameter is ignored: the client must
        # do without.
        self.settings.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={self.behind.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 1000\n")
        for path in (users, self.settings):
            self.who.take(path, 0o600)

    def launch(self) -> None:
        self.process.start([str(PROGRAM), str(self.settings)], {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, self.data, self.log, self.who)

    def ask(self) -> None:
        """Begins to log in."""
        who = f"user\0{postgres.USER}\0database\0{postgres.DATABASE}\0\0".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
            wire.sendall(struct.pack(">II", 8 + len(who), 3 << 16) + who)
            if wire.recv(1) != b"R":
                raise ValueError("PgBouncer doesn't take connections yet")


def installed() -> bool:
    return PROGRAM.exists()
