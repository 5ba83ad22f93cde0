"""A certificate authority of our own and the servers' certificate by it, made at the first start; for `localhost` only.

Whoever connects to 127.0.0.1 is told that the name is another one, which is what a test wants to see. openssl comes with
Debian's rabbitmq-server, which depends on it.
"""

import pathlib
import shutil
import subprocess
import tempfile

from process import Owner, Trouble

DAYS = "3650"
HOST = "localhost"


class Certificates:
    def __init__(self, folder: pathlib.Path, who: Owner):
        self.folder = folder
        self.who = who
        self.authority = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"

    def prepare(self) -> None:
        """Built aside; the folder takes its name only when it is whole. Nothing keeps the authority's key."""
        if self.folder.exists():
            return
        openssl = shutil.which("openssl")
        if openssl is None:
            raise Trouble("openssl isn't installed; install Debian's package openssl")
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix="tls-") as scratch:
            new = pathlib.Path(scratch) / "new"
            new.mkdir()
            key_of_authority = pathlib.Path(scratch) / "ca.key"
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            run([openssl, "req", "-x509", *curve, "-days", DAYS, "-subj", "/CN=Assay local servers",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", str(key_of_authority), "-out", str(new / "ca.pem")])
            run([openssl, "req", "-x509", *curve, "-days", DAYS, "-subj", f"/CN={HOST}",
                 "-addext", f"subjectAltName=DNS:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", "extendedKeyUsage=serverAuth", "-CA", str(new / "ca.pem"), "-CAkey", str(key_of_authority),
                 "-keyout", str(new / "server.key"), "-out", str(new / "server.pem")])
            self.who.take(new / "server.key", 0o600)
            new.chmod(0o755)
            new.rename(self.folder)


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(command[:3])} failed:\n{done.stderr.strip()}")
