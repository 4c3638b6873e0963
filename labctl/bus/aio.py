"""The bus for asyncio programs, such as a page that shows a bench: the same rules and messages, awaited.

For looking on and for the emergency stop. Control loops use `labctl.open_bench`: a lease is renewed by the loop that
needs it, and an event loop that renews one would do so for a hung program, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import zmq
import zmq.asyncio

from drivers.contract import ROI, DeviceDescription
from drivers.errors import BusError, LabError
from labctl.bus import security
from labctl.bus.client_side import ClientSide, result_of
from labctl.bus.entries import BenchEntry, entry_from
from labctl.bus.messages import Buffer, Decoder, Reply
from labctl.bus.ring import Arena, Reader
from labctl.bus.roles import Role
from labctl.bus.stream import Item, Numbering, make_topic, open_item, reduction_of
from labctl.bus.together import this_user
from labctl.bus.transport import MOST_IN_FLIGHT, Address, connect

_TIMEOUT_S = 5.0


class AsyncConnection:
    """A DEALER to one lane; any number of requests may be awaited at once."""

    def __init__(
        self, context: zmq.asyncio.Context, address: Address, *, arena: Arena | None = None, keys: Any = None
    ) -> None:
        self.address = address
        self._side = ClientSide(arena if address.endpoint.startswith("ipc:") else None, far=not address.local)
        self._socket = connect(context, address, zmq.DEALER, keys)
        self._socket.sndtimeo = 2000
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._greeting = asyncio.Lock()
        self._room = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._reader: asyncio.Task[None] | None = None

    async def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float = _TIMEOUT_S
    ) -> Any:
        """Ask and await the answer. Raises the remote error, or BusError when the server does not answer in time."""
        what = f"{device or 'server'}.{name or verb}"
        async with self._greeting:
            if self._reader is None:
                await self._greet(what, timeout_s)
        async with self._room:
            return await self._ask(what, device, verb, name, arguments, timeout_s)

    def cap_role(self, role: Role) -> None:
        """From now on requests are executed in at most this role."""
        self._side.role_cap = int(role)

    async def _ask(self, what: str, device: str, verb: str, name: str, arguments: Any, timeout_s: float) -> Any:
        number, frames = self._side.request(device, verb, name, arguments, timeout_s)
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._send(frames, what)
            reply = await asyncio.wait_for(waiting, timeout_s)
        except TimeoutError:
            raise BusError(f"{what}: no answer from {self.address.endpoint} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)
            self._side.waiting.pop(number, None)
        return result_of(reply)

    async def _greet(self, what: str, timeout_s: float) -> None:
        await self._send(self._side.hello(), what)
        try:
            frames = await asyncio.wait_for(self._socket.recv_multipart(), timeout_s)
        except TimeoutError:
            raise BusError(f"{what}: {self.address.endpoint} does not answer a greeting") from None
        self._side.welcome(frames)
        self._reader = asyncio.create_task(self._read())

    async def _send(self, frames: list[Buffer], what: str) -> None:
        try:
            await self._socket.send_multipart(frames)
        except zmq.Again:
            raise BusError(f"{what}: nobody listens on {self.address.endpoint}") from None

    async def _read(self) -> None:
        while True:
            taken = self._side.take(await self._socket.recv_multipart())
            if taken is None:
                continue
            number, answer = taken
            waiting = self._waiting.get(number)
            if waiting is None or waiting.done():
                continue
            if isinstance(answer, Reply):
                waiting.set_result(answer)
            else:
                waiting.set_exception(answer)

    async def close(self) -> None:
        """Disconnect."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        self._side.close()
        self._socket.close(linger=0)


class AsyncBench:
    """A bench that is up, looked at: settings, observing operations, streams, status, emergency stop."""

    def __init__(self, context: zmq.asyncio.Context, entry: BenchEntry, *, remote: bool, keys: Any) -> None:
        self.entry = entry
        self._context = context
        self._remote = remote
        self._keys = keys
        self._arena = Arena()
        self._calls = {s.name: self._connection(s.address("calls", remote=remote)) for s in entry.servers}
        self._control = {s.name: self._connection(s.address("control", remote=remote)) for s in entry.servers}
        self._stop = {s.name: self._connection(s.address("stop", remote=remote)) for s in entry.servers}
        self._server_of = {device: s.name for s in entry.servers for device in s.devices}

    def _connection(self, address: Address) -> AsyncConnection:
        return AsyncConnection(self._context, address, arena=self._arena, keys=self._keys)

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of all devices."""
        return tuple(self._server_of)

    def _of(self, device: str) -> AsyncConnection:
        if device not in self._server_of:
            raise BusError(f"bench {self.entry.bench} has no device {device!r}; it has {', '.join(self._server_of)}")
        return self._calls[self._server_of[device]]

    def cap_role(self, role: Role) -> None:
        """From now on requests are executed in at most this role: they are made for others, who may do no more."""
        for connections in (self._calls, self._control, self._stop):
            for connection in connections.values():
                connection.cap_role(role)

    async def describe(self, device: str) -> DeviceDescription:
        """Settings and operations of a device."""
        description: DeviceDescription = await self._of(device).request(device, "describe")
        return description

    async def get(self, device: str, setting: str) -> Any:
        """A setting as read back now."""
        return await self._of(device).request(device, "get", setting)

    async def set(self, device: str, setting: str, value: Any) -> Any:
        """Write a setting and return it as read back; LeaseError while somebody has control of the device."""
        return await self._of(device).request(device, "set", setting, value)

    async def call(self, device: str, operation: str, *positional: Any, **named: Any) -> Any:
        """Call an operation; LeaseError for one that changes something while somebody has control of the device."""
        return await self._of(device).request(device, "call", operation, [positional, named])

    async def status(self) -> dict[str, dict[str, Any]]:
        """State of every server: devices, leases, counters; ``{"error": …}`` for one that does not answer."""

        async def ask(connection: AsyncConnection) -> dict[str, Any]:
            try:
                state: dict[str, Any] = await connection.request("", "status", timeout_s=2.0)
            except LabError as error:
                return {"error": str(error)}
            return state

        states = await asyncio.gather(*map(ask, self._control.values()))
        return dict(zip(self._control, states, strict=True))

    async def stop(self, reason: str = "") -> None:
        """Emergency stop, as `labctl stop`."""
        asked = [c.request("", "stop", arguments=this_user(reason), timeout_s=2.0) for c in self._stop.values()]
        for result in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def stream(
        self, device: str, windows: Sequence[ROI] | None = None, bin: int = 1, images: bool = True
    ) -> AsyncIterator[Item]:
        """What a device measures from now on; see `labctl.bus.proxy.DeviceProxy.stream`."""
        self._of(device)
        server = next(s for s in self.entry.servers if s.name == self._server_of[device])
        address = server.address("stream", remote=self._remote)
        subscriber = connect(self._context, address, zmq.SUB, self._keys)
        try:
            subscriber.setsockopt(zmq.SUBSCRIBE, make_topic(device, reduction_of(windows, bin, images)))
            decoder = Decoder(Reader() if address.endpoint.startswith("ipc:") else None, copies=True)
            numbering = Numbering()
            while True:
                _, *frames = await subscriber.recv_multipart()
                item = open_item(frames, decoder, numbering)
                if item is not None:
                    yield item
        finally:
            subscriber.close(linger=0)

    async def close(self) -> None:
        """Disconnect."""
        for connections in (self._calls, self._control, self._stop):
            for connection in connections.values():
                await connection.close()
        self._arena.close()


@contextlib.asynccontextmanager
async def observe(directory: Address, keys: security.KeyPair | None = None) -> AsyncIterator[AsyncBench]:
    """The bench whose directory is at an address."""
    context = zmq.asyncio.Context()
    try:
        asking = AsyncConnection(context, directory, keys=keys)
        try:
            entry = entry_from(await asking.request("", "bench"))
        finally:
            await asking.close()
        bench = AsyncBench(context, entry, remote=not directory.local, keys=keys)
        try:
            yield bench
        finally:
            await bench.close()
    finally:
        context.destroy(linger=0)
