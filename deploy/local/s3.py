"""SeaweedFS as the S3 server: master, volume, filer and gateway in one process, signatures checked."""

import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import pathlib

from certificates import HOST, Certificates
from process import Owner, Server, Trouble, wait_until

VERSION = "4.48"
ACCESS_KEY = "assay"
SECRET_KEY = "assay-local-secret"
# May only read, as docs/least-rights.md has it.
READER_KEY = "assay-reader"
READER_SECRET = "assay-local-reader-secret"
REGION = "us-east-1"
BUCKET = "uploads"
# Written and deleted when the server starts: a bucket answers before there is anywhere to put an object.
PROBE = "assay-probe"


class S3(Server):
    name = "s3"
    title = "SeaweedFS"

    def __init__(self, data: pathlib.Path, who: Owner, base_port: int, weed: pathlib.Path, certificates: Certificates):
        super().__init__(data, who)
        self.port, self.first_inner_port = base_port + 4, base_port + 5
        self.tls_port = base_port + 19
        self.weed = weed
        self.certificates = certificates

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_endpoint(self) -> str:
        return f"https://{HOST}:{self.tls_port}"

    def ports(self) -> dict[str, int]:
        names = ["S3 inside (gateway)", "S3 inside (filer)", "S3 inside (filer's calls)", "S3 inside (master)",
                 "S3 inside (master's calls)", "S3 inside (volumes)", "S3 inside (volumes' calls)"]
        inner = {name: self.first_inner_port + place for place, name in enumerate(names)}
        return {"S3": self.port, "S3 by TLS": self.tls_port} | inner

    def prepare(self) -> None:
        self._remove_sockets()
        store = self.data / "store"
        store.mkdir(exist_ok=True)
        self.who.take(store, 0o755)
        identity = {"name": "assay", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                    "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
        reader = {"name": READER_KEY, "credentials": [{"accessKey": READER_KEY, "secretKey": READER_SECRET}],
                  "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"]}
        (self.data / "s3.config").write_text(json.dumps({"identities": [identity, reader]}, indent=2) + "\n")

    def launch(self) -> None:
        gateway, filer, filer_calls, master, master_calls, volume, volume_calls = list(self.ports().values())[2:]
        # There may be as many volumes as the free space of the disk holds, and each bucket takes seven: large ones run out
        # after four buckets where 30 GB are free.
        flags = {
            "dir": self.data / "store", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true",
            "master.port": master, "master.port.grpc": master_calls, "master.telemetry": "false",
            "master.electionTimeout": "1s", "master.volumeSizeLimitMB": 128, "master.volumePreallocate": "false",
            "volume.port": volume, "volume.port.grpc": volume_calls, "volume.preStopSeconds": 0, "volume.max": 0,
            "filer.port": filer, "filer.port.grpc": filer_calls,
            "s3.port": self.port, "s3.port.grpc": gateway, "s3.port.iceberg": 0, "s3.port.lance": 0,
            "s3.config": self.data / "s3.config", "s3.port.https": self.tls_port,
            "s3.cert.file": self.certificates.certificate, "s3.key.file": self.certificates.key,
        }
        command = [str(self.weed), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in flags.items())]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.data / "store")}
        self.process.start(command, environment, self.data, self.log, self.who)

    def start(self) -> None:
        fresh = self.process.pid() is None
        super().start()
        if fresh:
            for bucket in (BUCKET, PROBE):
                if not wait_until(lambda: self._succeeds("PUT", f"/{bucket}", also=409), self.seconds_to_start):
                    raise OSError(f"the bucket {bucket} can't be made; see {self.log}")
            if not wait_until(lambda: self._succeeds("PUT", f"/{PROBE}/written", b"written"), self.seconds_to_start):
                raise OSError(f"no object can be written; see {self.log}")
            self._succeeds("DELETE", f"/{PROBE}/written")

    def stop(self) -> None:
        """An orderly stop waits 15 s for nobody, and no object that it acknowledged is lost by a kill."""
        self.kill()

    def kill(self) -> None:
        ours = self.process.pid() is not None
        super().kill()
        # Without a server of ours they would be those of another set on the same ports.
        if ours:
            with contextlib.suppress(Trouble):
                self._remove_sockets()

    def _remove_sockets(self) -> None:
        """SeaweedFS talks to itself through sockets in /tmp, named by port, and leaves them there when it ends.

        One that another user left would keep it from ever getting ready, without a word.
        """
        for port in self.ports().values():
            for path in pathlib.Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                try:
                    path.unlink(missing_ok=True)
                except PermissionError:
                    raise Trouble(f"{path} was left by another user; have it deleted, or choose other ports with "
                                  "--base-port PORT") from None

    def ask(self) -> None:
        """The list of buckets, which only a right signature gets."""
        if self._request("GET", "/") != 200:
            raise ValueError("the S3 server doesn't serve its buckets yet")

    def _succeeds(self, method: str, path: str, body: bytes = b"", also: int = 200) -> bool:
        try:
            status = self._request(method, path, body)
        except OSError:
            return False
        return 200 <= status < 300 or status == also

    def _request(self, method: str, path: str, body: bytes = b"") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, signed(method, f"127.0.0.1:{self.port}", path, body))
            response = connection.getresponse()
            response.read()
            return response.status
        except http.client.HTTPException as error:
            raise OSError(f"the S3 server answered nonsense: {error}") from error
        finally:
            connection.close()


def signed(method: str, host: str, path: str, body: bytes) -> dict[str, str]:
    """The headers of AWS Signature Version 4 for a request without a query and with a plain path."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(headers)
    canonical = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, digest])
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
                                f"SignedHeaders={names}, Signature={signature}")
    return headers
