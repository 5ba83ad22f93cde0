"""An S3 server that misbehaves: HTTP between the worker and the real one, which spoils the answers for chosen keys."""

import asyncio
import collections
import contextlib
import urllib.parse

from proxy import Network, reset

# How an answer is spoiled.
ERROR_500, ERROR_503, SLOW, HANGING, TRUNCATED, WRONG_ETAG = "500", "503", "slow", "hanging", "truncated", "wrong etag"
WAYS = [ERROR_500, ERROR_503, SLOW, HANGING, TRUNCATED, WRONG_ETAG]
REFUSED = "403"
# Bytes of a trickle, and the pause between them.
DROP, PAUSE = 16, 0.25


class StoreProxy:
    """Answers for a key are spoiled as often as `spoil` was told, then they are right."""

    def __init__(self, network: Network, port: int, target: int):
        self.network, self.port, self.target = network, port, target
        self.faults: dict[str, list] = {}
        self.requests: collections.Counter[str] = collections.Counter()
        # A way that meets a share of all requests, whatever their key: (way, every how many).
        self.share: tuple[str, int] | None = None
        self.served = 0
        # Every request is answered as by a server that knows the client's key no longer.
        self.refusing = False
        network.call(self._listen())

    def spoil(self, key: str, way: str, times: int) -> None:
        self.faults[key] = [way, times]

    def heal(self) -> None:
        self.faults.clear()
        self.share = None
        self.refusing = False

    async def _listen(self) -> None:
        await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)

    def _fault(self, key: str) -> str | None:
        self.requests[key] += 1
        self.served += 1
        fault = self.faults.get(key)
        if fault and fault[1] > 0:
            fault[1] -= 1
            return fault[0]
        share = self.share
        return share[0] if share and self.served % share[1] == 0 else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), reader, writer):
                pass
        writer.close()

    async def _answer(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can go on."""
        target = request.split(b" ", 2)[1].decode()
        fault = self._fault(urllib.parse.unquote(urllib.parse.urlsplit(target).path).split("/", 2)[-1])
        if self.refusing:
            fault = REFUSED
        if fault in (ERROR_500, ERROR_503, REFUSED):
            name = {ERROR_500: "InternalError", ERROR_503: "SlowDown", REFUSED: "InvalidAccessKeyId"}[fault]
            body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>made up</Message></Error>".encode()
            writer.write(f"HTTP/1.1 {fault} Made Up\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            return True
        if fault == HANGING:
            # Until the client gives up.
            await reader.read(1)
            return False
        head, body = await self._ask(request)
        if fault == WRONG_ETAG:
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"etag:")]
            head = b"\r\n".join([lines[0], b'ETag: "00000000000000000000000000000000"', *lines[1:]])
        if fault == TRUNCATED:
            writer.write(head + body[:len(body) // 2])
            await writer.drain()
            writer.close()
            return False
        if fault == SLOW:
            writer.write(head)
            for place in range(0, len(body), DROP):
                writer.write(body[place:place + DROP])
                await writer.drain()
                await asyncio.sleep(PAUSE)
            return True
        writer.write(head + body)
        await writer.drain()
        return True

    async def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the real server's answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            return head, await reader.readexactly(int(lengths[0])) if lengths else b""
        finally:
            reset(writer)
