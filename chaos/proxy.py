"""A network between the worker and a server that can go bad, and that can be told to strike at a named step.

All proxies live on one event loop in a thread of its own; whoever drives the run calls their plain methods.
"""

import asyncio
import collections.abc
import contextlib
import dataclasses
import socket
import struct
import threading

from watchers import Watcher

UP, DOWN = "up", "down"


@dataclasses.dataclass
class Trap:
    """Springs at the `nth` time that `step` is seen. `act` is done before what shows the step is forwarded, which it
    then never is, or after it was."""

    step: str
    nth: int
    act: collections.abc.Callable[["Connection"], None]
    forward: bool
    sprung: threading.Event = dataclasses.field(default_factory=threading.Event)

    def meets(self, step: str) -> bool:
        if step != self.step or self.sprung.is_set():
            return False
        self.nth -= 1
        return self.nth <= 0


class Network:
    """The event loop of all proxies; ends with its `with`."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="network", daemon=True)
        self.thread.start()

    def call(self, work: collections.abc.Coroutine):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        async def cancel() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(Exception):
            self.call(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class Connection:
    """One client and its own connection to the server."""

    def __init__(self, proxy: "Proxy", client: asyncio.StreamWriter):
        self.proxy, self.client = proxy, client
        self.server: asyncio.StreamWriter | None = None
        self.watcher: Watcher | None = proxy.watcher() if proxy.watcher else None
        # What comes from either end vanishes, as when a firewall has forgotten the connection.
        self.dark = False

    def cut(self) -> None:
        """Both ends hear of it at once, by a reset."""
        for writer in (self.client, self.server):
            if writer is not None:
                reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Between `port` and `target`, both on loopback."""

    def __init__(self, network: Network, port: int, target: int, watcher: collections.abc.Callable[[], Watcher] | None = None):
        self.network, self.port, self.target, self.watcher = network, port, target, watcher
        self.connections: set[Connection] = set()
        self.trap: Trap | None = None
        self.refusing = self.dark = False
        self.answers = asyncio.Event()
        self.answers.set()
        network.call(self._listen())

    # For whoever drives the run.

    def spring(self, trap: Trap | None) -> None:
        self.trap = trap

    def cut(self, refuse: bool = False) -> None:
        """Resets every connection; with `refuse` also those to come, until `heal`."""

        async def cut() -> None:
            self.refusing = refuse
            for connection in list(self.connections):
                connection.cut()

        self.network.call(cut())

    def go_dark(self) -> None:
        """From now on nothing gets through, and nobody is told; connections that are made hang."""

        async def go_dark() -> None:
            self.dark = True
            for connection in self.connections:
                connection.dark = True

        self.network.call(go_dark())

    def hold_answers(self) -> None:
        """Questions get through; answers wait until `heal`."""
        self.network.loop.call_soon_threadsafe(self.answers.clear)

    def heal(self) -> None:
        """New connections get through again. Those that went dark stay so."""

        async def heal() -> None:
            self.refusing = self.dark = False
            self.answers.set()

        self.trap = None
        self.network.call(heal())

    # On the loop.

    async def _listen(self) -> None:
        await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, writer)
        connection.dark = self.dark
        self.connections.add(connection)
        try:
            if self.refusing:
                return reset(writer)
            if connection.dark:
                while await reader.read(1 << 16):
                    pass
                return
            try:
                from_server, connection.server = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                return reset(writer)
            await asyncio.gather(self._pump(connection, UP, reader, connection.server),
                                 self._pump(connection, DOWN, from_server, writer))
        finally:
            self.connections.discard(connection)
            for end in (writer, connection.server):
                if end is not None:
                    end.close()

    async def _pump(self, connection: Connection, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                if way == DOWN and not self.answers.is_set():
                    await self.answers.wait()
                if connection.dark:
                    continue
                await self._forward(connection, way, data, sink)
        # Where nothing gets through, neither does the news that an end has hung up.
        if not connection.dark:
            sink.close()

    async def _forward(self, connection: Connection, way: str, data: bytes, sink: asyncio.StreamWriter) -> None:
        watcher = connection.watcher
        parts = [(None, data)] if watcher is None else watcher.up(data) if way == UP else watcher.down(data)
        for step, part in parts:
            if sink.is_closing():
                return
            trap = self.trap
            meets = step is not None and trap is not None and trap.meets(step)
            if meets and not trap.forward:
                trap.act(connection)
                # Nothing more of it may slip through to an end that lives on.
                connection.cut()
                trap.sprung.set()
                return
            sink.write(part)
            if meets:
                await sink.drain()
                trap.act(connection)
                trap.sprung.set()
        await sink.drain()
