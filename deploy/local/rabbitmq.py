"""RabbitMQ: one node with its own name server (epmd), cookie, data and log, all on loopback."""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

from certificates import HOST, Certificates
from process import Owner, Process, Server, Trouble

USER = PASSWORD = "assay"
VHOST = "/"
NODE = "assay@localhost"
COOKIE = "assay-local-servers"
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMQ(Server):
    name = "rabbitmq"
    title = "RabbitMQ"

    def __init__(self, data: pathlib.Path, who: Owner, base_port: int, certificates: Certificates):
        super().__init__(data, who)
        self.port, self.dist_port, self.epmd_port, self.ctl_port = base_port, base_port + 1, base_port + 2, base_port + 12
        self.tls_port = base_port + 18
        self.certificates = certificates
        self.epmd = Process(data / "epmd.pid")

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/%2f"

    @property
    def tls_url(self) -> str:
        return f"amqps://{USER}:{PASSWORD}@{HOST}:{self.tls_port}/%2f"

    def ports(self) -> dict[str, int]:
        ports = {"RabbitMQ": self.port, "RabbitMQ by TLS": self.tls_port, "RabbitMQ's tools": self.dist_port}
        return ports if self.epmd.pid() else ports | {"RabbitMQ's name server": self.epmd_port}

    def prepare(self) -> None:
        home = self.data / "home"
        for folder in (home, self.data / "mnesia", self.data / "logs"):
            folder.mkdir(exist_ok=True)
            self.who.take(folder, 0o755)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE)
        self.who.take(cookie, 0o400)
        (self.data / "enabled_plugins").write_text("[rabbitmq_consistent_hash_exchange].\n")
        (self.data / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.certificates.authority}\n"
            f"ssl_options.certfile = {self.certificates.certificate}\n"
            f"ssl_options.keyfile = {self.certificates.key}\n"
            "ssl_options.verify = verify_none\n"
            f"default_user = {USER}\n"
            f"default_pass = {PASSWORD}\n"
            f"default_vhost = {VHOST}\n"
            "log.file = rabbitmq.log\n"
            "disk_free_limit.absolute = 64MB\n")

    def launch(self) -> None:
        if self.epmd.pid() is None:
            command = [shutil.which("epmd") or "/usr/bin/epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"]
            self.epmd.start(command, self._env(), self.data, self.log, self.who)
        self.process.start([str(sbin() / "rabbitmq-server")], self._env(), self.data, self.log, self.who)

    def stop(self) -> None:
        super().stop()
        self.epmd.end(signal.SIGTERM, 5.0)

    def kill(self) -> None:
        super().kill()
        self.epmd.end(signal.SIGKILL, 5.0)

    def control(self, arguments: list[str], **options) -> subprocess.CompletedProcess:
        """rabbitmqctl on this node."""
        if self.process.pid() is None:
            raise Trouble("RabbitMQ isn't running here; start it with `up`")
        return subprocess.run([str(sbin() / "rabbitmqctl"), "-n", NODE, *arguments],
                              env=self._env(), cwd=self.data, **self.who.identity(), **options)

    def _env(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.data / "home"),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "enabled_plugins"),
            # Nothing of the machine's own RabbitMQ may reach ours.
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.data / "advanced.config"),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK,
            "RABBITMQ_CTL_DIST_PORT_MIN": str(self.ctl_port),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(self.ctl_port + 5),
            # Makes the start script become the server, so that our pid is the server's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def ask(self) -> None:
        """Logs in and opens the vhost, as AMQP 0-9-1 wants it, and leaves politely."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
            wire.sendall(b"AMQP\x00\x00\x09\x01")
            expect(wire, 10, 10)
            login = f"\0{USER}\0{PASSWORD}".encode()
            send(wire, 10, 11, struct.pack(">I", 0) + short("PLAIN") + struct.pack(">I", len(login)) + login + short("en_US"))
            tune = expect(wire, 10, 30)
            send(wire, 10, 31, tune[:8])
            send(wire, 10, 40, short(VHOST) + short("") + b"\0")
            expect(wire, 10, 41)
            send(wire, 10, 50, struct.pack(">H", 200) + short("") + struct.pack(">HH", 0, 0))
            expect(wire, 10, 51)


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def send(wire: socket.socket, class_id: int, method: int, arguments: bytes) -> None:
    payload = struct.pack(">HH", class_id, method) + arguments
    wire.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")


def expect(wire: socket.socket, class_id: int, method: int) -> bytes:
    """The arguments of the next frame, which must be this method."""
    _, _, size = struct.unpack(">BHI", exactly(wire, 7))
    payload = exactly(wire, size + 1)
    if struct.unpack(">HH", payload[:4]) != (class_id, method):
        raise ValueError(f"RabbitMQ answered {payload[:4].hex()} where {class_id}.{method} was due")
    return payload[4:-1]


def exactly(wire: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = wire.recv(size - len(data))
        if not part:
            raise EOFError("RabbitMQ closed the connection")
        data += part
    return data


def sbin() -> pathlib.Path:
    """The scripts themselves: Debian's wrappers in /usr/sbin insist on the user `rabbitmq`."""
    found = sorted(pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if not found:
        raise Trouble("RabbitMQ isn't installed: no /usr/lib/rabbitmq/lib/rabbitmq_server-*")
    return found[-1]


def version() -> str:
    return sbin().parent.name.rpartition("-")[2]


def installed() -> bool:
    return any(pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")) and os.access("/usr/bin/epmd", os.X_OK)
