"""A network between processes and a server that can be cut, in the ways in which real ones are."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

CHUNK = 1 << 16


class Proxy:
    """Passes on what comes in at a port of its own, as long as nothing is cut; runs in a thread."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._drops_replies = self._cuts_replies = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._do(self._listen())

    def close(self) -> None:
        """Cut everything, for good."""
        self._do(self._refuse())
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Ways of being cut: each ends with its block

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Break all connections, and refuse new ones."""
        self._do(self._refuse())
        try:
            yield
        finally:
            self._do(self._listen())

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let nothing through in either direction; in the end all of it arrives, late, as from a queue somewhere."""
        self._open.clear()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Let nothing through; in the end all connections break, with what was on its way."""
        self._open.clear()
        try:
            yield
        finally:
            self._do(self._break())
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Let requests through, and no replies; in the end all connections break."""
        self._drops_replies = True
        try:
            yield
        finally:
            self._drops_replies = False
            self._do(self._break())

    @contextmanager
    def cutting_replies(self) -> Iterator[None]:
        """Break each connection in the middle of its next reply."""
        self._cuts_replies = True
        try:
            yield
        finally:
            self._cuts_replies = False

    # On the loop

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port or None, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._break()

    async def _break(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        self._open.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._writers.discard(writer)
        self._writers |= {writer, back}
        for pump in (self._pump(reader, back), self._pump(there, writer, is_reply=True)):
            task = self._loop.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_reply: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                if is_reply and self._drops_replies:
                    continue
                if is_reply and self._cuts_replies:
                    writer.write(data[: random.randrange(len(data))])
                    break
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
